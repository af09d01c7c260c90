/* SPDX-License-Identifier: GPL-3.0-or-later */
(() => {
  "use strict";
  const SIZE = 100;
  const THREE = { power: ["ordinary", "all", "unknown"], mfa: ["no", "yes", "unknown"] };
  const form = document.getElementById("filter");
  const body = document.querySelector("#rows tbody");
  const pager = document.querySelector(".pager");
  const [back, next, page, shown] = ["back", "next", "page", "shown"].map((id) => document.getElementById(id));
  let data, texts, matching, at = 0;

  // nothing of it is needed before somebody looks at the list
  const load = () => {
    if (data) return;
    data = JSON.parse(document.getElementById("data").textContent);
    const low = data.words.map((word) => word.toLowerCase());
    texts = (row) => [low[row[0]], (data.names[data.words[row[0]]] ?? "").toLowerCase(), low[row[1]], low[row[3]], low[row[5]], low[row[10]]].join("\n");
    matching = data.rows;
  };
  const word = (number) => data.words[number];
  const who = (row) => {
    const id = word(row[0]);
    return id ? (data.names[id] && data.names[id] !== id ? `${data.names[id]} (${id})` : id) : "nobody";
  };
  const cells = (row) => [
    who(row), word(row[1]), word(row[3]), word(row[4]) + (word(row[5]) ? ` ${word(row[5])}` : ""),
    THREE.mfa[row[7]], word(row[8]) || "unknown",
    THREE.power[row[6]] + (row[6] === 1 && word(row[9]) ? `: ${word(row[9])}` : ""),
    row[11].map(word).join(", "),
  ];
  const draw = () => {
    load();
    const part = matching.slice(at, at + SIZE).map((row) => {
      const line = document.createElement("tr");
      cells(row).forEach((text, place) => {
        const cell = document.createElement("td");
        cell.textContent = text;
        if (place === 7) cell.className = "ids";
        line.append(cell);
      });
      return line;
    });
    body.replaceChildren(...part);
    const end = Math.min(at + SIZE, matching.length);
    page.textContent = matching.length ? `${(at + 1).toLocaleString("en")} to ${end.toLocaleString("en")} of ${matching.length.toLocaleString("en")}` : "none";
    shown.textContent = matching.length === data.rows.length ? data.rows.length.toLocaleString("en") : `${matching.length.toLocaleString("en")} of ${data.rows.length.toLocaleString("en")}`;
    back.disabled = at === 0;
    next.disabled = end >= matching.length;
  };
  const filter = () => {
    load();
    const asked = Object.fromEntries(new FormData(form));
    const text = asked.text.trim().toLowerCase();
    matching = data.rows.filter((row) =>
      (!asked.kind || word(row[2]) === asked.kind) &&
      (!asked.power || row[6] === +asked.power) &&
      (!asked.mfa || row[7] === +asked.mfa) &&
      (!asked.finding || (asked.finding === "*" ? row[11].length > 0 : row[11].some((one) => word(one) === asked.finding))) &&
      (!text || texts(row).includes(text)));
    at = 0;
    draw();
  };
  // with these a spreadsheet would take a cell for a formula
  const neutral = (text) => (/^\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]/.test(text) ? `'${text}` : text);
  const save = () => {
    load();
    const head = [...document.querySelectorAll("#rows thead th")].map((cell) => cell.textContent);
    const lines = [head, ...matching.map(cells)].map((line) => line.map((text) => `"${neutral(text).replaceAll('"', '""')}"`).join(","));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([lines.join("\r\n") + "\r\n"], { type: "text/csv" }));
    link.download = `access-${data.collection}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };

  form.hidden = pager.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", filter);
  document.getElementById("export").addEventListener("click", save);
  back.addEventListener("click", () => { at = Math.max(0, at - SIZE); draw(); });
  next.addEventListener("click", () => { at += SIZE; draw(); });
  const section = document.getElementById("accesses");
  const watcher = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    watcher.disconnect();
    draw();
  }, { rootMargin: "600px" });
  watcher.observe(section);

  // a link to a finding opens it
  const open = () => {
    const target = location.hash.length > 1 ? document.getElementById(decodeURIComponent(location.hash.slice(1))) : null;
    if (target instanceof HTMLDetailsElement) target.open = true;
  };
  addEventListener("hashchange", open);
  open();

  const graph = document.getElementById("graph");
  if (graph) {
    const nodes = [...graph.querySelectorAll(".node")];
    const edges = [...graph.querySelectorAll(".edge")].map((element) => ({ element, a: +element.dataset.a, b: +element.dataset.b }));
    const follow = (start) => {
      const lit = new Set([start]);
      const walk = (from, to) => {
        const waiting = [start];
        while (waiting.length) {
          const one = waiting.pop();
          for (const edge of edges) {
            if (edge[from] !== one) continue;
            edge.element.classList.add("lit");
            if (!lit.has(edge[to])) { lit.add(edge[to]); waiting.push(edge[to]); }
          }
        }
      };
      walk("a", "b");
      walk("b", "a");
      for (const number of lit) nodes[number].classList.add("lit");
      graph.classList.add("on");
    };
    const clear = () => {
      graph.classList.remove("on");
      for (const one of graph.querySelectorAll(".lit")) one.classList.remove("lit");
    };
    nodes.forEach((node, number) => {
      for (const event of ["pointerenter", "focus"]) node.addEventListener(event, () => { clear(); follow(number); });
      for (const event of ["pointerleave", "blur"]) node.addEventListener(event, clear);
    });
  }
})();
