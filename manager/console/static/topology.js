// The drawing of the first page. The list below it says the same in words.
"use strict";

(() => {
  const place = document.getElementById("graph");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const width = (rate) => Math.min(10, 1.5 + Math.log10(1 + rate) * 2);
  const tools = document.getElementById("graph-tools");
  // Below this its text can't be read well; but what is cut off by so little is rather made smaller.
  const LEGIBLE = 0.75, NEARLY = 0.9;
  const EDGE = 20;
  let graph = null, moved = false;

  // A name may be broken after its - . _ and, where it has none, within: never before a lone last letter.
  const breakable = (label) => label.replace(/[-._]|[^\s._-]{24}(?=[^\s._-]{4})/g, "$&\u200b");

  function style() {
    const text = colour("--text");
    const states = ["idle", "starting", "running", "lingering", "draining", "paused", "failed"];
    return [
      { selector: "node", style: {
        label: (node) => breakable(node.data("label")), "text-valign": "center", "text-wrap": "wrap",
        "text-max-width": 220, color: text, "font-size": 13, width: "label", height: "label",
        padding: 10, shape: "round-rectangle", "background-color": colour("--panel"),
        "border-width": 2, "border-color": colour("--line") } },
      { selector: "node[kind='stream']", style: {
        shape: "round-tag", padding: 12, "text-margin-x": -4 } },
      { selector: "node[kind='pipeline']", style: { shape: "cut-rectangle" } },
      { selector: "node[kind='consumers']", style: { "border-style": "dashed" } },
      ...states.map((state) => ({ selector: `node[state='${state}']`, style: {
        "border-color": colour(`--${state}`), "border-width": state === "idle" ? 2 : 4 } })),
      // what it does well doesn't hide what it couldn't do
      { selector: "node[?dead]", style: {
        "outline-width": 2, "outline-offset": 3, "outline-color": colour("--failed") } },
      { selector: "edge", style: {
        width: (edge) => width(edge.data("rate")), "curve-style": "bezier", label: "data(label)",
        "text-wrap": "wrap", color: text, "font-size": 11, "text-background-color": colour("--back"),
        "text-background-opacity": 1, "text-background-padding": 2, "line-color": colour("--line"),
        "target-arrow-color": colour("--line"), "target-arrow-shape": "triangle" } },
    ];
  }

  function arrange() {
    const direction = place.clientWidth < 600 ? "TB" : "LR";
    // nothing to follow: side by side, as many in a row as there is room for
    const grid = { name: "grid", condense: true, avoidOverlap: true, avoidOverlapPadding: 15,
      cols: Math.max(1, Math.floor(place.clientWidth / 220)) };
    const follow = { name: "dagre", rankDir: direction, nodeSep: 30, rankSep: direction === "LR" ? 70 : 45 };
    graph.layout({ ...(graph.edges().length ? follow : grid), fit: false }).run();
    tools.hidden = show(LEGIBLE);
  }

  // Show all of it, but nothing smaller than `least`: then it begins top left, and can be dragged.
  // Returns whether all is seen.
  function show(least) {
    const { x1, y1, w, h } = graph.elements().boundingBox();
    const most = Math.max(240, 0.6 * innerHeight);
    const whole = Math.min((place.clientWidth - 2 * EDGE) / w, (most - 2 * EDGE) / h);
    const fits = whole >= NEARLY * least;
    const zoom = fits ? Math.min(1.1, whole) : least;
    place.style.height = `${Math.min(most, h * zoom + 2 * EDGE + 2)}px`;
    graph.resize();
    const left = Math.max(EDGE, (place.clientWidth - w * zoom) / 2);
    graph.viewport({ zoom, pan: { x: left - x1 * zoom, y: EDGE - y1 * zoom } });
    moved = false;
    return fits;
  }

  // Somebody looks at a part of it: that stays, and there is a way back.
  function wander() {
    moved = true;
    tools.hidden = false;
  }

  function enlarge(times) {
    const middle = { x: place.clientWidth / 2, y: place.clientHeight / 2 };
    graph.zoom({ level: graph.zoom() * times, renderedPosition: middle });
    wander();
  }

  function draw(elements) {
    const ids = (all) => all.map((one) => one.data.id).sort().join("\n");
    const same = graph && ids(elements) === ids(graph.elements().map((one) => ({ data: one.data() })));
    if (same) {
      graph.batch(() => elements.forEach((one) => graph.getElementById(one.data.id).data(one.data)));
      return;
    }
    const before = moved && { zoom: graph.zoom(), pan: { ...graph.pan() } };
    place.hidden = tools.hidden = elements.length === 0;
    graph?.destroy();
    graph = cytoscape({ container: place, elements, style: style(),
      minZoom: 0.1, maxZoom: 3, autoungrabify: true });
    graph.on("viewport", () => { place.dataset.zoom = graph.zoom(); });
    graph.on("dragpan scrollzoom", wander);
    graph.on("tap", "node", (tap) => {
      const there = tap.target.data("place");
      if (there) { window.location.assign(there); }
    });
    place.dataset.nodes = graph.nodes().length;
    if (elements.length) { arrange(); }
    // who has moved it stays where they are
    if (before) { graph.viewport(before); wander(); }
  }

  // The page scrolls over the drawing, too: a wheel zooms with Ctrl only; one finger scrolls, two move
  // and stretch the drawing. Cytoscape would take all of it. It hears of a tap as of a click.
  let held = null;
  function touched(touch) {
    touch.stopPropagation();
    const before = held;
    held = touch.touches.length === 2 ? between(...touch.touches) : null;
    if (held && touch.cancelable) { touch.preventDefault(); }
    if (held && before) {
      const { x, y, apart } = held;
      graph.panBy({ x: x - before.x, y: y - before.y });
      graph.zoom({ level: graph.zoom() * apart / before.apart, renderedPosition: { x, y } });
      wander();
    }
  }

  function between(one, other) {
    const { left, top } = place.getBoundingClientRect();
    return { x: (one.clientX + other.clientX) / 2 - left, y: (one.clientY + other.clientY) / 2 - top,
      apart: Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) };
  }

  async function renew() {
    const answer = await fetch(`/topology/?around=${encodeURIComponent(place.dataset.around)}`);
    if (answer.ok) { draw((await answer.json()).elements); }
  }

  tools.addEventListener("click", (click) => {
    const deed = { smaller: () => enlarge(0.8), larger: () => enlarge(1.25), whole: () => show(0) };
    deed[click.target.value]?.();
  });
  // before Cytoscape, whose own are at the same place
  for (const kind of ["touchstart", "touchmove", "touchend", "touchcancel"]) {
    place.addEventListener(kind, touched, { capture: true, passive: false });
  }
  place.addEventListener("wheel", (turn) => {
    if (turn.ctrlKey) { turn.preventDefault(); } else { turn.stopImmediatePropagation(); }
  }, { capture: true, passive: false });
  document.body.addEventListener("look", () => renew().catch(() => {}));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => graph?.style(style()));
  addEventListener("resize", () => graph && graph.nodes().length && arrange());
  renew().catch(() => {});
})();
