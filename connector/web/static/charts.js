// Draws the charts of a page. Data stands beside each chart in a JSON block; colours come from the style sheet, so
// that light and dark are settled in one place. Without Plotly the tables on the page say the same.
"use strict";

(() => {
  const style = () => getComputedStyle(document.documentElement);
  const colour = (name) => style().getPropertyValue(name).trim();
  const fill = ([work]) => colour(`--seg-${work}`);
  const opacity = ([, shade]) => Math.max(1 - 0.25 * shade, 0.25); // the style sheet's .shade-N
  const faded = (hex, alpha) => hex + Math.round(alpha * 255).toString(16).padStart(2, "0");
  const config = { displayModeBar: false };

  const base = () => ({
    paper_bgcolor: "transparent",
    plot_bgcolor: "transparent",
    font: { family: style().fontFamily, size: 13, color: colour("--text") },
    showlegend: false,
    dragmode: false,
    hoverlabel: {
      bgcolor: colour("--raised"),
      bordercolor: colour("--line-strong"),
      font: { family: style().fontFamily, color: colour("--text") },
    },
  });
  const pen = document.createElement("canvas").getContext("2d");
  const longest = (texts) => {
    pen.font = `13px ${style().fontFamily}`;
    return Math.ceil(Math.max(...texts.map((text) => pen.measureText(text).width))) + 16;
  };
  const silentAxis = { visible: false, fixedrange: true };

  function bar(data, width) {
    const traces = data.labels.map((label, at) => ({
      type: "bar",
      orientation: "h",
      x: [data.shares[at]],
      y: [""],
      name: label,
      marker: {
        color: fill(data.colours[at]),
        opacity: opacity(data.colours[at]),
        line: { color: colour("--surface"), width: 2 },
      },
      text: [data.shares[at] * width > 40 && data.colours[at][1] === 0 ? data.texts[at] : ""],
      constraintext: "none",
      textposition: "inside",
      insidetextanchor: "middle",
      textangle: 0,
      textfont: { color: colour("--seg-text"), size: 13 },
      hovertemplate: `${escaped(data.details[at])}<extra></extra>`,
    }));
    const layout = {
      ...base(),
      barmode: "stack",
      width,
      height: 48,
      margin: { l: 0, r: 0, t: 4, b: 4 },
      xaxis: { ...silentAxis, type: "linear", range: [0, 1] },
      yaxis: { ...silentAxis, type: "category" },
    };
    return [traces, layout];
  }

  function shares(data, width) {
    const highest = Math.max(...data.series.flatMap((series) => series.shares));
    const traces = data.series.map((series, at) => ({
      type: "bar",
      orientation: "h",
      name: series.name,
      x: series.shares,
      y: data.labels.map(escaped),
      marker: {
        color: data.colours.map((of) => faded(fill(of), opacity(of) * (data.series.length > 1 && at === 0 ? 0.28 : 1))),
        line: { color: data.colours.map((of) => faded(fill(of), opacity(of))), width: 1.5 },
      },
      text: series.texts.map(escaped),
      textposition: "outside",
      cliponaxis: false,
      textfont: { color: colour("--text-quiet"), size: 12 },
      hovertemplate: `%{y}: ${escaped(series.name)} %{text}<extra></extra>`,
    }));
    const rows = data.labels.length;
    const labels = longest(data.labels);
    const bars = Math.max(width - labels - longest(data.series.flatMap((series) => series.texts)), 40);
    const room = (width - labels) / bars;
    const layout = {
      ...base(),
      barmode: "group",
      bargap: 0.34,
      bargroupgap: 0.12,
      width,
      height: rows * 58 + 16,
      margin: { l: labels, r: 0, t: 4, b: 4 },
      xaxis: { ...silentAxis, type: "linear", range: [0, Math.max(highest, 0.01) * room] },
      yaxis: { type: "category", autorange: "reversed", fixedrange: true, ticksuffix: "  ", showgrid: false, zeroline: false },
    };
    return [traces, layout];
  }

  function sankey(data, width) {
    const node = (work) => colour(`--seg-${work}`) || colour("--seg-other");
    const traces = [{
      type: "sankey",
      arrangement: "fixed",
      node: {
        label: data.labels.map(escaped),
        color: data.works.map(node),
        line: { width: 0 },
        pad: 14,
        thickness: 14,
        hovertemplate: "%{label}<extra></extra>",
      },
      link: {
        source: data.sources,
        target: data.targets,
        value: data.values,
        color: data.sources.map((at) => faded(node(data.works[at]), 0.35)),
        customdata: data.texts.map(escaped),
        hovertemplate: "%{source.label} → %{target.label}<br>%{customdata}<extra></extra>",
      },
    }];
    const rows = Math.max(data.left, data.labels.length - data.left);
    return [traces, { ...base(), width, height: rows * 56 + 24, margin: { l: 4, r: 4, t: 8, b: 8 } }];
  }

  // Plotly reads a few tags in its texts; ours are plain words.
  const escaped = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

  function draw() {
    for (const figure of document.querySelectorAll("figure.chart")) {
      const block = figure.querySelector("script");
      const data = JSON.parse(block.textContent);
      let place = figure.querySelector("div.plot");
      if (!place) {
        place = document.createElement("div");
        place.className = "plot";
        figure.append(place);
      }
      const [traces, layout] = ({ bar, sankey }[data.kind] ?? shares)(data, figure.clientWidth);
      Plotly.react(place, traces, layout, config);
    }
  }

  if (typeof Plotly === "undefined") {
    document.documentElement.classList.add("no-charts");
    return;
  }
  draw();
  let drawn = document.documentElement.clientWidth;
  addEventListener("resize", () => {
    const width = document.documentElement.clientWidth;
    if (width !== drawn) {
      drawn = width;
      draw();
    }
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
