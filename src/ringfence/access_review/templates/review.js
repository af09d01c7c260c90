// SPDX-License-Identifier: GPL-3.0-or-later
// Keys that spare some tabbing. Everything is reachable without them.
"use strict";
(() => {
  const form = document.getElementById("page");
  const search = document.getElementById("search");
  const rows = [...document.querySelectorAll(".row")];
  const current = () => rows.indexOf(document.activeElement.closest?.(".row"));
  const go = (number) => {
    const row = rows[Math.max(0, Math.min(rows.length - 1, number))];
    if (!row) return;
    row.focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
  };
  const keys = document.querySelector(".keys");
  if (keys) keys.hidden = false;
  document.querySelector(".row.wrong [aria-invalid]")?.focus();
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && form) {
      event.preventDefault();
      form.requestSubmit();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = document.activeElement.matches("input:not([type=radio]), select, textarea");
    const at = current();
    if (typing) {
      if (event.key === "Escape" && at >= 0) go(at);
      return;
    }
    if (event.key === "j") go(at + 1);
    else if (event.key === "k") go(at < 0 ? 0 : at - 1);
    else if (event.key === "/" && search) search.focus();
    else if (event.key === "r" && at >= 0) rows[at].querySelector("[name^='r.']").focus();
    else if ("1234".includes(event.key) && at >= 0) {
      const choice = rows[at].querySelectorAll("[type=radio]")[Number(event.key) - 1];
      if (choice && !choice.disabled) { choice.checked = true; choice.focus(); }
    } else return;
    event.preventDefault();
  });
})();
