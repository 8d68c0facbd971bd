// The drawing of the first page. The list below it says the same in words.
"use strict";

(() => {
  const place = document.getElementById("graph");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const width = (rate) => Math.min(10, 1.5 + Math.log10(1 + rate) * 2);
  let graph = null;

  function style() {
    const text = colour("--text");
    const states = ["idle", "starting", "running", "lingering", "draining", "paused", "failed"];
    return [
      { selector: "node", style: {
        label: "data(label)", "text-valign": "center", "text-wrap": "wrap", "text-max-width": 150,
        "text-overflow-wrap": "anywhere", color: text, "font-size": 13, width: "label", height: "label",
        padding: 10, shape: "round-rectangle", "background-color": colour("--panel"),
        "border-width": 2, "border-color": colour("--line") } },
      { selector: "node[kind='stream']", style: { shape: "round-tag", padding: 12 } },
      { selector: "node[kind='pipeline']", style: { shape: "cut-rectangle" } },
      { selector: "node[kind='consumers']", style: { "border-style": "dashed" } },
      ...states.map((state) => ({ selector: `node[state='${state}']`, style: {
        "border-color": colour(`--${state}`), "border-width": state === "idle" ? 2 : 4 } })),
      { selector: "edge", style: {
        width: (edge) => width(edge.data("rate")), "curve-style": "bezier", label: "data(label)",
        "text-wrap": "wrap", color: text, "font-size": 11, "text-background-color": colour("--back"),
        "text-background-opacity": 1, "text-background-padding": 2, "line-color": colour("--line"),
        "target-arrow-color": colour("--line"), "target-arrow-shape": "triangle" } },
    ];
  }

  function arrange() {
    const direction = place.clientWidth < 600 ? "TB" : "LR";
    if (!graph.edges().length) {
      // nothing to follow: side by side, as many in a row as there is room for
      graph.layout({ name: "grid", condense: true, avoidOverlap: true, avoidOverlapPadding: 15, padding: 20,
        cols: Math.max(1, Math.floor(place.clientWidth / 220)) }).run();
      graph.fit(undefined, 20);
      return;
    }
    graph.layout({ name: "dagre", rankDir: direction, nodeSep: 30, rankSep: 70, padding: 20 }).run();
    graph.fit(undefined, 20);
    if (graph.zoom() > 1.1) { graph.zoom(1.1); graph.center(); }
  }

  function draw(elements) {
    const ids = (all) => all.map((one) => one.data.id).sort().join("\n");
    const same = graph && ids(elements) === ids(graph.elements().map((one) => ({ data: one.data() })));
    if (same) {
      graph.batch(() => elements.forEach((one) => graph.getElementById(one.data.id).data(one.data)));
      return;
    }
    place.hidden = elements.length === 0;
    graph?.destroy();
    graph = cytoscape({ container: place, elements, style: style(),
      minZoom: 0.1, maxZoom: 3, autoungrabify: true });
    graph.on("tap", "node", (tap) => {
      const there = tap.target.data("place");
      if (there) { window.location.assign(there); }
    });
    place.dataset.nodes = graph.nodes().length;
    if (elements.length) { arrange(); }
  }

  async function renew() {
    const answer = await fetch(`/topology/?around=${encodeURIComponent(place.dataset.around)}`);
    if (answer.ok) { draw((await answer.json()).elements); }
  }

  document.body.addEventListener("look", () => renew().catch(() => {}));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => graph?.style(style()));
  addEventListener("resize", () => graph && graph.nodes().length && arrange());
  renew().catch(() => {});
})();
