/* The RFM block in the right column of a card. All words about the customer come from the connector.
   amoCRM adds its one-time token to the request by itself ($authorizedAjax). */
define(["jquery"], function ($) {
  "use strict";

  var BASE_URL = "https://app.example.com";
  var TYPES = { ccard: "contact", comcard: "company", lcard: "lead" };

  return function () {
    var self = this;

    function words(key) {
      return self.i18n("card")[key];
    }

    function area() {
      return String(self.system().area || "").split("-")[0];
    }

    function lines(list) {
      var table = $("<div>").addClass("rfm-connector__lines");
      $.each(list || [], function (_, line) {
        table.append(
          $("<div>").css({ display: "flex", justifyContent: "space-between", gap: "8px", padding: "2px 0" }).append(
            $("<span>").css({ opacity: 0.7 }).text(line.label),
            $("<b>").text(line.value)
          )
        );
      });
      return table;
    }

    function paragraph(text) {
      return $("<p>").css({ margin: "6px 0" }).text(text);
    }

    function show(body, card) {
      body.empty().append($("<div>").css({ fontSize: "16px", fontWeight: 600 }).text(card.title));
      if (card.meaning) { body.append(paragraph(card.meaning)); }
      if (card.scored) {
        body.append(paragraph(card.labels.first_step + ". " + card.first_step));
        body.append(paragraph(card.labels.offer + ". " + card.offer));
        body.append(lines(card.lines));
        if (card.recent.length) {
          body.append($("<div>").css({ fontWeight: 600, marginTop: "8px" }).text(card.labels.recent));
          body.append(lines(card.recent));
        }
      }
      $.each(card.notes || [], function (_, note) { body.append(paragraph(note)); });
    }

    function load() {
      var type = TYPES[area()];
      var number = APP.data.current_card ? Number(APP.data.current_card.id) : 0;
      var body = $(".rfm-connector__body");
      if (!type) { return; }
      if (!number) { body.text(words("unsaved")); return; }
      body.text(words("loading"));
      self.$authorizedAjax({
        url: BASE_URL + "/card/amocrm",
        method: "GET",
        dataType: "json",
        data: { type: type, id: number, lang: APP.lang_id || "" }
      }).done(function (card) {
        show(body, card);
      }).fail(function () {
        body.text(words("failed"));
      });
    }

    this.callbacks = {
      render: function () {
        if (TYPES[area()]) {
          self.render_template({
            caption: { class_name: "rfm-connector__caption" },
            body: '<div class="rfm-connector__body" style="padding:8px 0"></div>',
            render: ""
          });
        }
        return true;
      },
      init: function () { load(); return true; },
      bind_actions: function () { return true; },
      settings: function (modal) {
        modal.find(".widget_settings_block__descr").first().append($("<p>").text(self.i18n("settings").about));
        return true;
      },
      onSave: function () { return true; },
      destroy: function () { $(".rfm-connector__body").empty(); }
    };

    return this;
  };
});
