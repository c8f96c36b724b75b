/* On each page of the admin. */
(() => {
  "use strict";

  // The theme somebody chose on their preferences page, taken up once for each choice; Unfold's own switch goes on from there.
  const wanted = document.cookie.match(/(?:^|; )hashinsight_theme=(auto|light|dark)/)?.[1];
  if (wanted && localStorage.getItem("hashinsight_theme") !== wanted) {
    localStorage.setItem("hashinsight_theme", wanted);
    localStorage.setItem("_x_adminTheme", JSON.stringify(wanted));
  }

  // Django's boxes that complete what is typed have no name for those who cannot see the label beside them.
  function nameSearchFields() {
    for (const input of document.querySelectorAll(".select2-search__field:not([aria-label])")) {
      const row = input.closest(".field-row, .form-row, .fieldset-row, [class*=field-]") ?? document;
      input.setAttribute("aria-label", row.querySelector("label")?.textContent.trim() || document.title);
    }
  }

  // Unfold's menus and switches that only a mouse reaches.
  const MOUSE_ONLY = "a[x-on\\:click]:not([href]), div[x-on\\:click^=openUserLinks]";

  function press(event) {
    if (!["Enter", " "].includes(event.key) || !event.target.matches(MOUSE_ONLY)) return;
    event.preventDefault();
    event.target.click();
  }

  // The command palette: Enter opens the first result when none is marked, of what is typed now and not of what was found before it;
  // and that nothing was found is said, which Unfold leaves out of what it shows.
  const typed = () => document.getElementById("search-input-command").value.trim();
  let foundFor = null;
  let opensFirst = false;

  function openFirst() {
    opensFirst = false;
    const first = document.querySelector("#command-results-list a");
    if (first) window.location.assign(first.href);
  }

  function chooseByEnter(event) {
    if (event.key !== "Enter" || event.target.id !== "search-input-command" || event.isComposing) return;
    const isCurrent = foundFor === typed();
    if (isCurrent && document.querySelector("#command-results-list li.active")) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (isCurrent) openFirst();
    else opensFirst = typed() !== "";
  }

  document.addEventListener("keydown", chooseByEnter, true);
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target?.id === "command-results" && !event.detail.xhr.responseText.includes('id="command-results-list"')) {
      event.detail.selectOverride = "ul";
    }
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.target?.id !== "command-results") return;
    foundFor = (event.detail.requestConfig.parameters.s ?? "").trim();
    if (opensFirst && foundFor === typed()) openFirst();
  });

  document.addEventListener("DOMContentLoaded", () => {
    for (const button of document.querySelectorAll(MOUSE_ONLY)) {
      button.tabIndex = 0;
      button.setAttribute("role", "button");
    }
    document.addEventListener("keydown", press);
    if (!document.querySelector(".admin-autocomplete")) return;
    new MutationObserver(nameSearchFields).observe(document.body, { childList: true, subtree: true });
    nameSearchFields();
  });
})();
