// What every page does: hears that something changed, says when nobody is heard, copies commands.
"use strict";

(() => {
  const SILENCE_MS = 4000;
  const lost = document.getElementById("lost");
  const LOST = lost.textContent;
  let source = null;
  let heard = Date.now();
  // what is told apart, and shown by different pages: each has a number that rises with its changes
  const KINDS = ["look", "nodes", "activity"];
  // those of what this page shows: what changed since, while it came here, isn't missed
  const told = Object.fromEntries(KINDS.map((kind) => [kind, Number(document.body.dataset[kind])]));

  function listen() {
    source = new EventSource("/live/");
    source.addEventListener("look", (message) => {
      const look = JSON.parse(message.data);
      heard = Date.now();
      const wasLost = !lost.hidden;
      lost.hidden = true;
      lost.textContent = LOST;
      for (const kind of KINDS) {
        if (look[kind] !== told[kind] || wasLost) {
          document.body.dispatchEvent(new CustomEvent(kind, { detail: {} }));
        }
      }
      Object.assign(told, look);
    });
    source.onerror = () => {
      // the browser tries again by itself, unless it was refused: then the login is over
      if (source.readyState === EventSource.CLOSED) {
        fetch("/live/", { method: "GET", redirect: "manual", signal: AbortSignal.timeout(2000) })
          .then((answer) => answer.status === 401 && window.location.reload())
          .catch(() => {});
        setTimeout(restart, 2000);
      }
    };
  }

  function restart() {
    if (!document.hidden) {
      source?.close();
      listen();
    }
  }

  // a browser has few connections for each site: a page that nobody sees needs none
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      source?.close();
    } else {
      heard = Date.now();
      restart();
    }
  });
  function unsent() {
    lost.hidden = false;
    lost.textContent = `${LOST} Nothing was sent: do it again then.`;
    lost.scrollIntoView();
  }
  // what is typed stays: else the browser would leave for a page of its own
  document.addEventListener("submit", (submit) => {
    if (!lost.hidden) {
      submit.preventDefault();
      submit.stopImmediatePropagation();
      unsent();
    }
  }, true);
  document.addEventListener("htmx:error", (failed) => {
    if (failed.target.matches?.("form")) { unsent(); }
  });
  setInterval(() => {
    if (!document.hidden && Date.now() - heard > SILENCE_MS) {
      lost.hidden = false;
    }
  }, 500);
  // How long ago something was goes on between two pictures, by the manager's clock.
  const apart = Number(document.body.dataset.now) - Date.now();
  const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  function age(time) {
    const past = Math.floor((Date.now() + apart - Date.parse(time.dateTime)) / 1000);
    const [unit, length] = UNITS.find((one) => past >= one[1]) ?? UNITS[3];
    time.textContent = past < 2 ? "now" : `${Math.floor(past / length)} ${unit} ago`;
  }
  setInterval(() => document.hidden || document.querySelectorAll("time:not([data-due])").forEach(age), 1000);
  // what changes without a new picture, such as the lines of a log, is fetched each second
  setInterval(() => document.hidden || document.body.dispatchEvent(new CustomEvent("second", { detail: {} })), 1000);
  document.addEventListener("click", async (click) => {
    const button = click.target.closest("button.copy");
    if (button) {
      await navigator.clipboard.writeText(button.previousElementSibling.textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    }
  });

  // The command that does what a form does follows what is typed, if that needs no quoting; what is
  // in brackets is said only with something typed.
  function follow(form) {
    const shown = form.querySelector("[data-command]");
    if (!shown) { return; }
    const typed = (name) => form.elements[name]?.value.trim() ?? "";
    const told = shown.dataset.command
      .replace(/\[([^\]]*\{(\w+)\}[^\]]*)\]/g, (_, part, name) => (typed(name) ? part : ""))
      .replace(/\{(\w+)\}/g, (_, name) => (
        /^[\w.:+\/-]+$/.test(typed(name)) ? typed(name) : name.toUpperCase()));
    shown.querySelector("code").textContent = told;
    shown.querySelector("button").setAttribute("aria-label", `Copy the command ${told}`);
  }
  document.addEventListener("input", (typed) => typed.target.form && follow(typed.target.form));
  for (const form of document.forms) { follow(form); }
  // a form that was refused goes on where there is something to mend
  document.querySelector("main [aria-invalid]")?.focus();
  listen();
})();
