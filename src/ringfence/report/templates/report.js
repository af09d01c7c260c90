/* SPDX-License-Identifier: GPL-3.0-or-later */
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("data").textContent);
  const form = document.getElementById("filter");
  const shown = document.getElementById("shown");
  const first = shown.textContent;
  const bunches = [...document.querySelectorAll(".bunch")];
  const items = [...document.querySelectorAll(".control")].map((element) => ({
    element,
    ...data.controls[+element.dataset.i],
    id: element.id.slice(2),
    sev: element.dataset.sev,
    area: element.dataset.area,
    place: +element.dataset.i,
    tally: element.querySelector(".tally"),
    said: element.querySelector(".tally").textContent,
    text: "",
    rows: null,
  }));
  const severities = ["critical", "high", "medium", "low"];
  const rank = (name) => (severities.indexOf(name) + severities.length + 1) % (severities.length + 1);
  const by = {
    "": (a, b) => a.place - b.place,
    sev: (a, b) => rank(a.sev) - rank(b.sev) || a.place - b.place,
    failed: (a, b) => b.failed - a.failed || a.place - b.place,
    title: (a, b) => a.title.localeCompare(b.title),
    area: (a, b) => a.area.localeCompare(b.area) || a.place - b.place,
  };

  // long tables are for readers without scripts; with scripts they are mere text until opened
  const unpack = (item) => {
    const packed = item.element.querySelector("noscript");
    if (!packed) return;
    const template = document.createElement("template");
    template.innerHTML = packed.textContent;
    packed.replaceWith(template.content);
  };
  const rowsOf = (item) => {
    unpack(item);
    return (item.rows ??= [...item.element.querySelectorAll(".groups tbody tr")].map((row) => ({
      row,
      code: data.codes[row.dataset.s],
      hosts: row.dataset.h === undefined ? null : row.dataset.h.split(" ").map(Number),
    })));
  };
  const entities = { "&lt;": "<", "&gt;": ">", "&amp;": "&", "&#34;": '"', "&#39;": "'" };
  const textOf = (item) => {
    const packed = item.element.querySelector("noscript");
    const text = item.element.textContent;
    const plain = packed ? text.replace(/<[^>]*>/g, " ").replace(/&(lt|gt|amp|#34|#39);/g, (one) => entities[one]) : text;
    return plain.toLowerCase();
  };

  // the hosts of a row: long lists of passing hosts are not in the page but in the matrix
  const hostsOf = (item, { code, hosts }) => hosts ?? data.hosts.flatMap((_, i) => (item.matrix[i] === code ? [i] : []));

  const wanted = () => {
    const fields = Object.fromEntries(new FormData(form));
    const name = fields.host.trim().toLowerCase();
    let hosts = null;
    if (name) {
      const exact = data.hosts.findIndex((host) => host.toLowerCase() === name);
      hosts = exact >= 0 ? [exact] : data.hosts.flatMap((host, i) => (host.toLowerCase().includes(name) ? [i] : []));
    }
    return { ...fields, text: fields.text.trim().toLowerCase(), hosts };
  };

  const fits = (item, want) => {
    if (want.sev && item.sev !== want.sev) return false;
    if (want.area && item.area !== want.area) return false;
    if (want.hosts && !want.hosts.some((i) => (want.status ? item.matrix[i] === want.status : item.matrix[i] !== "-"))) return false;
    if (!want.hosts && want.status && !item.matrix.includes(want.status)) return false;
    if (!want.text) return true;
    item.text ||= textOf(item);
    return item.text.includes(want.text);
  };

  let want = null;
  const filterRows = (item) => {
    const chosen = want?.hosts && new Set(want.hosts);
    if (!item.rows && !chosen && !want?.status) return unpack(item);
    for (const part of rowsOf(item)) {
      const right = !want.status || part.code === want.status;
      const here = !chosen || (part.hosts ? part.hosts.some((i) => chosen.has(i)) : want.hosts.some((i) => item.matrix[i] === part.code));
      part.row.hidden = !(right && here);
    }
  };

  const apply = () => {
    want = wanted();
    const one = want.hosts?.length === 1 ? want.hosts[0] : -1;
    let count = 0;
    for (const item of items) {
      const keep = fits(item, want);
      item.element.hidden = !keep;
      if (!keep) continue;
      count += 1;
      item.tally.textContent = one < 0 ? item.said : `${data.labels[item.matrix[one]]} on ${data.hosts[one]}`;
      if (item.element.open) filterRows(item);
    }
    for (const bunch of bunches) bunch.hidden = !bunch.querySelector(".control:not([hidden])");
    document.getElementById("nothing").hidden = count > 0;
    shown.textContent = count === items.length ? first : `${count} of ${items.length} controls`;
  };
  for (const item of items) item.element.addEventListener("toggle", () => { if (item.element.open) filterRows(item); });

  const order = () => {
    const compare = by[form.elements.order.value];
    const sorted = [...items].sort(compare);
    for (const bunch of bunches) bunch.append(...sorted.filter((item) => item.element.parentNode === bunch).map((item) => item.element));
  };

  let waiting = 0;
  for (const kind of ["input", "change"]) {
    form.addEventListener(kind, (event) => {
      if (event.target.name === "order") return order();
      clearTimeout(waiting);
      waiting = setTimeout(apply, 60);
    });
  }
  form.addEventListener("reset", () => setTimeout(() => { order(); apply(); }));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.elements.host.addEventListener("focus", () => {
    const list = document.getElementById("hostnames");
    if (!list.childElementCount) list.append(...data.hosts.map((name) => new Option(name)));
  }, { once: true });

  const expand = document.getElementById("expand");
  expand.addEventListener("click", () => {
    const open = expand.textContent === "Open all";
    for (const item of items) if (!item.element.hidden) item.element.open = open;
    expand.textContent = open ? "Close all" : "Open all";
  });

  // what a spreadsheet would take for a formula is made text
  const cell = (value) => {
    const text = String(value ?? "");
    return `"${(/^[=+\-@\t\r]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
  };
  document.getElementById("save").addEventListener("click", () => {
    apply();
    const chosen = want.hosts && new Set(want.hosts);
    const lines = [["host", "control", "title", "severity", "area", "status", "expected", "observed", "remedy"]];
    for (const item of items) {
      if (item.element.hidden) continue;
      rowsOf(item);
      filterRows(item);
      for (const part of item.rows) {
        if (part.row.hidden) continue;
        const texts = [...part.row.cells].map((one) => one.innerText.trim());
        const mend = item.element.querySelector(".prose > div:nth-child(2) p")?.textContent ?? "";
        for (const i of hostsOf(item, part)) {
          if (chosen && !chosen.has(i)) continue;
          lines.push([data.hosts[i], item.id, item.title, item.sev, item.area, data.labels[part.code], texts[1], texts[2], mend]);
        }
      }
    }
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([lines.map((line) => line.map(cell).join(",") + "\r\n").join("")], { type: "text/csv" }));
    link.download = `ringfence-${data.run}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });

  const table = document.getElementById("hosts");
  const body = table.tBodies[0];
  const key = {
    name: (row) => [row.rowIndex, row.cells[0].textContent],
    text: (row, i) => row.cells[i]?.textContent ?? "",
    n: (row, i) => parseInt((row.cells[i]?.textContent ?? "").replace(/,/g, ""), 10) || 0,
  };
  const collator = new Intl.Collator("en", { numeric: true });
  for (const head of table.querySelectorAll("th[data-k]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const kind = head.dataset.k;
      const down = head.hasAttribute("aria-sort") ? head.getAttribute("aria-sort") === "ascending" : kind === "n";
      for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const column = head.cellIndex;
      const value = (row) => (kind === "name" ? row.cells[0].textContent : key[kind](row, column));
      const rows = [...body.rows].map((row) => [value(row), row]);
      rows.sort(([a], [b]) => (kind === "n" ? a - b : collator.compare(a, b)) * (down ? -1 : 1));
      body.append(...rows.map(([, row]) => row));
    });
  }
  for (const row of body.rows) {
    const button = document.createElement("button");
    button.type = "button";
    button.title = "Show the controls of this host";
    button.append(...row.cells[0].childNodes);
    row.cells[0].append(button);
  }
  body.addEventListener("click", (event) => {
    const button = event.target.closest("th button");
    if (!button) return;
    form.reset();
    form.elements.host.value = button.textContent;
    setTimeout(() => { apply(); document.getElementById("findings").scrollIntoView(); });
  });

  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    for (const item of items) unpack(item);
    for (const one of closed) one.open = true;
  });
  addEventListener("afterprint", () => { for (const one of closed) one.open = false; });

  form.hidden = false;
})();
