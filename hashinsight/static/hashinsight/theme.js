/* Takes up the theme that somebody chose on their preferences page, once for each choice; Unfold's own switch goes on from there. */
(() => {
  "use strict";
  const wanted = document.cookie.match(/(?:^|; )hashinsight_theme=(auto|light|dark)/)?.[1];
  if (!wanted || localStorage.getItem("hashinsight_theme") === wanted) return;
  localStorage.setItem("hashinsight_theme", wanted);
  localStorage.setItem("_x_adminTheme", JSON.stringify(wanted));
})();
