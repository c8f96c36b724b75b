/* Keeps open pages fresh. No dependency, nothing inline, so a strict CSP holds for it. */
(() => {
  "use strict";

  /* --- Live parts: [data-refresh] names an address whose [data-part] elements replace those of the same id, in place. --- */

  function morph(shown, fresh) {
    if (shown.nodeName === "DETAILS") fresh.open = shown.open; // what somebody unfolded stays so
    if (shown.isEqualNode(fresh)) return;
    const sameShape = shown.nodeName === fresh.nodeName && shown.childNodes.length === fresh.childNodes.length;
    if (!sameShape || shown.nodeType !== Node.ELEMENT_NODE) {
      if (shown.nodeType === Node.TEXT_NODE && fresh.nodeType === Node.TEXT_NODE) shown.data = fresh.data;
      else shown.replaceWith(document.importNode(fresh, true));
      return;
    }
    for (const { name } of [...shown.attributes]) if (!fresh.hasAttribute(name)) shown.removeAttribute(name);
    for (const { name, value } of fresh.attributes) if (shown.getAttribute(name) !== value) shown.setAttribute(name, value);
    [...shown.childNodes].forEach((child, index) => morph(child, fresh.childNodes[index]));
  }

  async function refresh(box) {
    if (document.hidden) return;
    const answer = await fetch(box.dataset.refresh, { credentials: "same-origin" });
    if (answer.redirected) location.reload(); // the session ended: the login page comes
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of [...fresh.querySelectorAll("[data-part]")]) {
      const shown = document.getElementById(part.id);
      if (shown) morph(shown, part);
    }
    box.dispatchEvent(new CustomEvent("console:refreshed", { bubbles: true }));
  }

  function quietly(action) {
    // A server that restarts is normal; the page keeps its last values and tries again.
    return () => action().catch((error) => { if (!(error instanceof TypeError)) throw error; });
  }

  /* --- Copying the key that is shown once: without TLS a browser has no clipboard, then the text is selected to copy by hand. --- */

  async function copy(button) {
    const source = document.getElementById(button.dataset.copy);
    getSelection().selectAllChildren(source);
    if (navigator.clipboard) await navigator.clipboard.writeText(source.textContent);
  }

  /* --- An order shows the parameters of the command that is chosen. --- */

  function showParameters(form) {
    const chosen = form.querySelector("select[name=command]").value;
    for (const input of form.querySelectorAll("[data-for]")) input.closest(".hi-field").hidden = input.dataset.for !== chosen;
  }

  /* --- Parts that come after the page: [data-load] names the address of one; its [data-query] buttons ask for another choice. --- */

  async function load(box, query = "") {
    const answer = await fetch(`${box.dataset.load}?${query}`, { credentials: "same-origin" });
    if (!answer.ok || answer.redirected) return;
    const part = new DOMParser().parseFromString(await answer.text(), "text/html").body;
    box.replaceChildren(...part.childNodes);
    box.querySelectorAll("[data-query]").forEach((button) => button.addEventListener("click", quietly(() => load(box, button.dataset.query))));
  }

  /* --- A form whose answer is shown beside it: [data-into] names the element. --- */

  async function submit(form) {
    const [button, target] = [form.querySelector("[type=submit]"), document.getElementById(form.dataset.into)];
    button.disabled = true;
    target.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(form.action, { method: "POST", credentials: "same-origin", body: new FormData(form) });
      if (answer.redirected) location.reload();
      const part = new DOMParser().parseFromString(await answer.text(), "text/html").body;
      if (answer.ok) target.replaceChildren(...part.childNodes);
      else target.textContent = `HTTP ${answer.status}`;
    } finally {
      button.disabled = false;
      target.removeAttribute("aria-busy");
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("[data-load]").forEach((box) => quietly(() => load(box))());
    for (const form of document.querySelectorAll("[data-into]")) {
      form.addEventListener("submit", (event) => { event.preventDefault(); quietly(() => submit(form))(); });
    }
    for (const form of document.querySelectorAll("[data-order]")) {
      showParameters(form);
      form.addEventListener("change", () => showParameters(form));
    }
    for (const box of document.querySelectorAll("[data-refresh]")) setInterval(quietly(() => refresh(box)), Number(box.dataset.every) * 1000);
    document.querySelectorAll("[data-copy]").forEach((button) => button.addEventListener("click", () => copy(button)));
  });
})();
