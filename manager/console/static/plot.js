// Messages a second over the last ten minutes.
"use strict";

(() => {
  const EVERY_MS = 5000;
  const place = document.getElementById("plot");
  const note = document.getElementById("plot-note");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const plot = echarts.init(place, null, { renderer: "canvas" });

  function draw(points) {
    const text = { color: colour("--text") };
    plot.setOption({
      animation: false, aria: { enabled: false }, useUTC: true,
      grid: { left: 55, right: 15, top: 30, bottom: 30 },
      tooltip: { trigger: "axis", renderMode: "richText",
        valueFormatter: (rate) => `${rate.toLocaleString("en", { maximumFractionDigits: 1 })}/s` },
      xAxis: { type: "time", axisLabel: { ...text, hideOverlap: true },
        axisLine: { lineStyle: { color: colour("--line") } } },
      yAxis: { type: "value", name: "messages/s", nameTextStyle: text, min: 0, axisLabel: text,
        splitLine: { lineStyle: { color: colour("--line") } } },
      series: [{ type: "line", showSymbol: false, data: points, areaStyle: { opacity: 0.15 },
        lineStyle: { width: 2 }, color: colour("--link") }],
    });
    const rates = points.map((point) => point[1]);
    note.textContent = rates.some((rate) => rate > 0)
      ? `at most ${Math.max(...rates).toLocaleString("en", { maximumFractionDigits: 1 })} messages/s; times are UTC`
      : "nothing came";
  }

  async function renew() {
    if (document.hidden) { return; }
    try {
      const answer = await fetch(place.dataset.source);
      if (answer.ok) { draw(await answer.json()); } else { note.textContent = "not known: the broker doesn't answer"; }
    } catch { note.textContent = "not known: the manager doesn't answer"; }
  }

  addEventListener("resize", () => plot.resize());
  setInterval(renew, EVERY_MS);
  renew();
})();
