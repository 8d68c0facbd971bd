// A definition's form: what is wrong with each field while it is typed, and what the form means.
"use strict";

(() => {
  const PAUSE_MS = 300;
  const form = document.getElementById("definition");
  const count = document.getElementById("count");
  const shown = document.getElementById("document");
  const refused = document.getElementById("refused");
  const touched = new Set(form.querySelector("[aria-invalid]") ? ["*"] : []);
  let timer = null;
  let asked = 0;

  function tell(problems) {
    const known = (name) => touched.has("*") || touched.has(name);
    for (const about of form.querySelectorAll(".about")) {
      const name = about.id.replace(/^about-/, "");
      const wrong = known(name) ? problems[name] ?? [] : [];
      about.querySelectorAll(".wrong").forEach((old) => old.remove());
      for (const text of [...wrong].reverse()) {
        const line = document.createElement("span");
        line.className = "wrong";
        line.textContent = `✖ ${text}`;
        about.prepend(line);
      }
      const field = form.elements[name];
      if (wrong.length) { field.setAttribute("aria-invalid", "true"); } else { field.removeAttribute("aria-invalid"); }
    }
    const left = Object.keys(problems).length;
    // whether the program does what it should, no form can tell
    count.textContent = left ? `${left} field${left === 1 ? "" : "s"} to fill in or mend.` : "Complete.";
    if (refused) { refused.hidden = !left; }
  }

  async function check() {
    const mine = ++asked;
    try {
      const answer = await fetch(form.dataset.check, {
        method: "POST", body: new URLSearchParams(new FormData(form)), redirect: "manual",
      });
      if (!answer.ok || mine !== asked) { return; }
      const said = await answer.json();
      tell(said.problems);
      shown.textContent = said.document;
    } catch { /* the bar above says when the manager doesn't answer */ }
  }

  async function post(place) {
    const body = new URLSearchParams(new FormData(form));
    const answer = await fetch(place, { method: "POST", body, redirect: "manual" });
    if (answer.type === "opaqueredirect") { throw new Error("your login is over: log in anew in another tab"); }
    if (!answer.ok) { throw new Error("nothing was done: this page is older than your login, or the manager is busy; try again, or reload it"); }
    return answer;
  }

  // `wait` is said meanwhile; what goes wrong is said in its place
  async function ask(button, wait, work) {
    const tried = document.getElementById("tried");
    button.disabled = true;
    tried.textContent = wait;
    try {
      await work(tried);
    } catch (error) {
      tried.textContent = error instanceof TypeError ? "the manager doesn't answer" : error.message;
    }
    button.disabled = false;
  }

  document.getElementById("try").addEventListener("click", (click) => {
    ask(click.target, "running …", async (tried) => {
      // the manager made it harmless
      tried.innerHTML = await (await post(form.dataset.try)).text();
    });
  });
  document.getElementById("sample-take").addEventListener("click", (click) => {
    ask(click.target, "waiting for a message …", async (tried) => {
      const told = await (await post(form.dataset.sample)).json();
      tried.textContent = told.problem ?? told.said;
      if (told.problem === undefined) {
        form.elements.sample.value = told.sample;
        form.elements.sample_as.value = told.as;
      }
    });
  });

  form.elements.sample_stream.addEventListener("keydown", (pressed) => {
    if (pressed.key !== "Enter") { return; }
    pressed.preventDefault();  // it would register the definition
    document.getElementById("sample-take").click();
  });

  form.addEventListener("input", (typed) => {
    touched.add(typed.target.name);
    clearTimeout(timer);
    timer = setTimeout(check, PAUSE_MS);
  });
  form.addEventListener("focusout", (left) => {
    if (left.target.name && left.target.value) { touched.add(left.target.name); }
  });
  check();
})();
