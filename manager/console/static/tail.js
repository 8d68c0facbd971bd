// The live tail: rows come as HTML that the manager made harmless; the newest is first.
"use strict";

(() => {
  const MOST_ROWS = 200;
  const list = document.getElementById("tail");
  const state = document.getElementById("tail-state");
  const pause = document.getElementById("tail-pause");
  const how = document.getElementById("tail-as");
  let source = null;

  function show(rows) {
    const template = document.createElement("template");
    template.innerHTML = rows;
    for (const row of template.content.querySelectorAll("li")) {
      list.prepend(row);
      // only what can be scrolled is a stop for the keyboard
      const body = row.querySelector("pre");
      if (body && (body.scrollHeight > body.clientHeight || body.scrollWidth > body.clientWidth)) {
        body.tabIndex = 0;
      }
    }
    while (list.children.length > MOST_ROWS) { list.lastElementChild.remove(); }
  }

  function open() {
    close();
    if (document.hidden || pause.getAttribute("aria-pressed") === "true") { return; }
    state.textContent = "connecting …";
    source = new EventSource(`${list.dataset.source}?as=${how.value}`);
    source.addEventListener("begun", () => { state.textContent = "live"; });
    source.addEventListener("messages", (event) => {
      const told = JSON.parse(event.data);
      show(told.rows);
      state.textContent = told.sampled ? "live; they come fast: only some are shown" : "live";
    });
    source.addEventListener("away", () => { state.textContent = "the broker doesn't answer; trying again"; });
    source.onerror = () => {
      state.textContent = "not connected; trying again";
      if (source.readyState === EventSource.CLOSED) { setTimeout(open, 3000); }
    };
  }

  function close() {
    source?.close();
    source = null;
  }

  pause.addEventListener("click", () => {
    const paused = pause.getAttribute("aria-pressed") !== "true";
    pause.setAttribute("aria-pressed", String(paused));
    if (paused) { state.textContent = "paused: what comes now isn't shown"; }
    open();
  });
  document.getElementById("tail-clear").addEventListener("click", () => list.replaceChildren());
  how.addEventListener("change", () => { list.replaceChildren(); open(); });
  document.addEventListener("visibilitychange", open);
  open();
})();
