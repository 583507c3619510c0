// Draws the charts of a page. Data stands beside each chart in a JSON block; colours come from the style sheet, so
// that light and dark are settled in one place. Without Plotly the tables on the page say the same.
"use strict";

(() => {
  const style = () => getComputedStyle(document.documentElement);
  const colour = (name) => style().getPropertyValue(name).trim();
  const fill = ([work]) => colour(`--seg-${work}`);
  const opacity = ([, shade]) => Math.max(1 - 0.25 * shade, 0.25); // the style sheet's .shade-N
  const config = { displayModeBar: false, responsive: true, staticPlot: false };

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
  const silentAxis = { visible: false, fixedrange: true };

  function bar(data) {
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
      text: [data.shares[at] > 0.075 && data.colours[at][1] === 0 ? data.texts[at] : ""],
      textposition: "inside",
      insidetextanchor: "middle",
      textangle: 0,
      textfont: { color: colour("--seg-text"), size: 13 },
      hovertemplate: `${escaped(data.details[at])}<extra></extra>`,
    }));
    const layout = {
      ...base(),
      barmode: "stack",
      height: 48,
      margin: { l: 0, r: 0, t: 4, b: 4 },
      xaxis: { ...silentAxis, range: [0, 1] },
      yaxis: silentAxis,
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
        color: data.colours.map(fill),
        opacity: data.colours.map(opacity),
        pattern: { shape: at ? "" : "/", size: 6, solidity: 0.5, fgopacity: 1 },
      },
      text: series.texts.map((text) => `${escaped(series.name)} ${escaped(text)}`),
      textposition: "outside",
      cliponaxis: false,
      textfont: { color: colour("--text-quiet"), size: 12 },
      hovertemplate: `%{y}: %{text}<extra></extra>`,
    }));
    const rows = data.labels.length;
    const room = width < 520 ? 2.3 : 1.3;
    const layout = {
      ...base(),
      barmode: "group",
      bargap: 0.34,
      bargroupgap: 0.12,
      height: rows * 58 + 16,
      margin: { l: 0, r: 8, t: 4, b: 4 },
      xaxis: { ...silentAxis, range: [0, Math.max(highest, 0.01) * room] },
      yaxis: { automargin: true, autorange: "reversed", fixedrange: true, ticksuffix: "  ", showgrid: false, zeroline: false },
    };
    return [traces, layout];
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
      const [traces, layout] = (data.kind === "bar" ? bar : shares)(data, figure.clientWidth);
      Plotly.react(place, traces, layout, config);
    }
  }

  if (typeof Plotly === "undefined") {
    document.documentElement.classList.add("no-charts");
    return;
  }
  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
