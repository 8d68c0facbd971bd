// What an archive holds, over time; the handles below the bars choose what a replay plays.
"use strict";

(() => {
  const EVERY_MS = 10000;
  const place = document.getElementById("bars");
  if (!place) { return; }
  const note = document.getElementById("bars-note");
  const hours = document.getElementById("bars-hours");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const plot = echarts.init(place, null, { renderer: "canvas" });
  const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];
  let times = [];

  function size(bytes) {
    let unit = 0;
    for (; bytes >= 1024 && unit < UNITS.length - 1; unit += 1) { bytes /= 1024; }
    return `${bytes.toLocaleString("en", { maximumFractionDigits: 1 })} ${UNITS[unit]}`;
  }

  function draw({ bars, whole }) {
    const text = { color: colour("--text") };
    times = bars.map((bar) => bar[0]);
    plot.setOption({
      animation: false, aria: { enabled: false }, useUTC: true,
      grid: { left: 75, right: 25, top: 15, bottom: 75 },
      tooltip: { trigger: "axis", renderMode: "richText", valueFormatter: size },
      xAxis: { type: "time", axisLabel: { ...text, hideOverlap: true },
        axisLine: { lineStyle: { color: colour("--line") } } },
      yAxis: { type: "value", min: 0, axisLabel: { ...text, formatter: size },
        splitLine: { lineStyle: { color: colour("--line") } } },
      dataZoom: [{ type: "slider", bottom: 10, height: 24, filterMode: "none", brushSelect: false,
        textStyle: text, borderColor: colour("--line"), fillerColor: "rgba(120, 140, 170, .25)" }],
      series: [{ type: "bar", data: bars, color: colour("--link"), large: false }],
    });
    const stored = bars.reduce((sum, bar) => sum + bar[1], 0);
    note.textContent = stored === 0 ? "nothing is stored yet" : `${size(stored)} stored${whole ? "" : ", of the first 20,000 segments"}; times are UTC`;
  }

  async function renew() {
    if (document.hidden) { return; }
    try {
      const answer = await fetch(`${place.dataset.source}?hours=${hours.value}`);
      if (answer.ok) { draw(await answer.json()); } else { note.textContent = "not known: S3 or the manager can't say"; }
    } catch { note.textContent = "not known: the manager doesn't answer"; }
  }

  plot.on("datazoom", () => {
    const { startValue, endValue, start, end } = plot.getOption().dataZoom[0];
    for (const [name, value, whole] of [["from", startValue, start <= 0], ["to", endValue, end >= 100]]) {
      const field = document.getElementById(`field-${name}`);
      if (field && times.length) {
        field.value = whole ? "" : new Date(value).toISOString().slice(0, 19);
        field.dispatchEvent(new Event("input", { bubbles: true }));
      }
    }
  });
  hours.addEventListener("change", renew);
  addEventListener("resize", () => plot.resize());
  setInterval(renew, EVERY_MS);
  renew();
})();
