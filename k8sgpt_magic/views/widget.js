// The interactive view of findings: see widget.py. All text of the cluster's or a model's enters the page as text
// nodes only. The rules of the filters are those of rows.py.

const SEVERITIES = ["critical", "warning", "info"];
const ROW = 28; // pixels, as in widget.css
const SPARE = 6; // rows drawn beyond the visible ones, at either end
const LISTED = ["kind", "namespace", "code", "context"];
const ANYTHING = { severities: [], kind: null, namespace: null, code: null, context: null, roots: false, text: "" };

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function plural(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

async function unpacked(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

class Findings {
  constructor(columns) {
    Object.assign(this, columns);
    this.length = columns.severity.length;
    this.several = columns.context.values.length > 1;
    this.searched = new Array(this.length);
    this.orders = new Map();
    this.followers = new Map();
    this.cause.forEach((cause, row) => {
      if (typeof cause !== "number") return;
      if (!this.followers.has(cause)) this.followers.set(cause, []);
      this.followers.get(cause).push(row);
    });
  }

  text(name, row) {
    return this[name].values[this[name].rows[row]];
  }

  place(row) {
    const namespace = this.text("namespace", row);
    const container = this.container[row] ? ` [${this.container[row]}]` : "";
    const cluster = this.several ? `${this.text("context", row)}: ` : "";
    return `${cluster}${namespace ? `${namespace}/` : ""}${this.name[row]}${container}`;
  }

  at(row, separator = " ") {
    const seconds = this.since[row];
    return seconds === null ? "" : new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", separator);
  }

  has(row, words) {
    this.searched[row] ??= (
      `${this.text("kind", row)}/${this.text("namespace", row)}/${this.name[row]} [${this.container[row]}] ` +
      `${this.text("code", row)} ${this.message[row]} ${this.parent[row]} ${this.text("context", row)}`
    ).toLowerCase();
    return words.every((word) => this.searched[row].includes(word));
  }

  // The rows that filters let through, and how many each choice of one filter would, the others being as they are.
  filtered(filters) {
    const severities = filters.severities.map((each) => SEVERITIES.indexOf(each)).filter((rank) => rank >= 0);
    const words = (filters.text || "").toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = LISTED.map((name) => (filters[name] === null ? null : this[name].values.indexOf(filters[name])));
    const passes = new Uint8Array(this.length);
    const counts = { severity: [0, 0, 0], roots: 0 };
    for (const name of LISTED) counts[name] = new Array(this[name].values.length).fill(0);
    for (let row = 0; row < this.length; row++) {
      let failed = 0;
      let where = "";
      const fail = (facet) => {
        failed++;
        where = facet;
      };
      if (severities.length && !severities.includes(this.severity[row])) fail("severity");
      LISTED.forEach((name, at) => {
        if (wanted[at] !== null && this[name].rows[row] !== wanted[at]) fail(name);
      });
      if (filters.roots && !(this.consequences[row] > 0)) fail("roots");
      if (failed > 1 || (words.length && !this.has(row, words))) continue;
      passes[row] = failed ? 0 : 1;
      if (!failed || where === "severity") counts.severity[this.severity[row]]++;
      for (const name of LISTED) if (!failed || where === name) counts[name][this[name].rows[row]]++;
      if ((!failed || where === "roots") && this.consequences[row] > 0) counts.roots++;
    }
    return { passes, counts };
  }

  // All rows in the order of a column; equal ones stay in the order of the analysis.
  sorted({ column, down }) {
    const key = `${column} ${down}`;
    if (!this.orders.has(key)) {
      const order = Array.from({ length: this.length }, (_, row) => row);
      const values = this.keys(column);
      if (values) {
        const way = down ? -1 : 1;
        order.sort((one, other) => {
          const [a, b] = [values[one], values[other]];
          if (a === b) return one - other;
          // What has no value comes last either way.
          if (a === null || b === null) return a === null ? 1 : -1;
          return a < b ? -way : way;
        });
      }
      this.orders.set(key, order);
    }
    return this.orders.get(key);
  }

  keys(column) {
    if (LISTED.includes(column)) return this[column].rows;
    if (column === "where") return this.severity.map((_, row) => this.place(row));
    return ["severity", "message", "since", "consequences"].includes(column) ? this[column] : null;
  }

  // One command on a line, as a POSIX shell takes it.
  commands(row, context) {
    const namespace = this.text("namespace", row);
    const kind = this.text("kind", row);
    const object = `${kind.toLowerCase()}/${this.name[row]}`;
    // "*" is each row's own.
    const own = context === "*" ? this.text("context", row) : context;
    const ends = [...(namespace ? ["-n", namespace] : []), ...(own ? ["--context", own] : [])];
    const made = [
      ["kubectl", "describe", object, ...ends],
      ["kubectl", "get", object, "-o", "yaml", ...ends],
    ];
    if (kind === "Secret") made.pop(); // it would show the values
    if (kind === "Pod") {
      const container = this.container[row] ? ["-c", this.container[row]] : ["--all-containers"];
      made.push(["kubectl", "logs", object, ...container, "--tail=100", ...ends]);
      if (this.container[row]) made.push(["kubectl", "logs", object, ...container, "--previous", "--tail=100", ...ends]);
    }
    made.push(["kubectl", "events", "--for", object, ...ends]);
    return made.map((words) => words.map(quoted).join(" "));
  }

  record(row) {
    const cause = this.cause[row];
    return {
      severity: SEVERITIES[this.severity[row]],
      code: this.text("code", row),
      kind: this.text("kind", row),
      namespace: this.text("namespace", row),
      name: this.name[row],
      container: this.container[row],
      message: this.message[row],
      since: this.since[row] === null ? "" : `${this.at(row, "T")}Z`,
      parent: this.parent[row],
      cause: typeof cause === "number" ? `${this.text("kind", cause)} ${this.place(cause)}` : cause || "",
      consequences: String(this.consequences[row]),
      ...(this.several ? { context: this.text("context", row) } : {}),
    };
  }
}

function quoted(word) {
  return /^[A-Za-z0-9_.,:/@%+=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

// Cells that a spreadsheet would take for a formula get an apostrophe before them.
function csv(findings, rows) {
  const cell = (text) => `"${(/^[=+\-@\t\r]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
  const records = rows.map((row) => findings.record(row));
  const header = Object.keys(findings.record(0));
  return [header, ...records.map(Object.values)].map((cells) => cells.map(cell).join(",")).join("\r\n") + "\r\n";
}

function markdown(findings, rows) {
  const cell = (text) => text.replace(/([\\`*_{}[\]<>|#~!&$])/g, "\\$1");
  const lines = rows.map((row) => {
    const { severity, code, kind, message, cause } = findings.record(row);
    return `| ${[severity, code, `${kind} ${findings.place(row)}`, message, cause].map(cell).join(" | ")} |`;
  });
  return ["| Severity | Code | Where | What is wrong | Cause |", "|---|---|---|---|---|", ...lines, ""].join("\n");
}

function download(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = element("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

async function copy(text, from) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Pages that are not served over HTTPS have no clipboard of that kind.
    const range = document.createRange();
    range.selectNodeContents(from);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    document.execCommand("copy");
  }
}

const COLUMNS = [
  ["severity", "Severity"],
  ["kind", "Kind"],
  ["where", "Where"],
  ["code", "Code"],
  ["message", "What is wrong"],
  ["since", "Since (UTC)"],
  ["consequences", "Leads to"],
];

// The table: an ARIA grid that draws only the rows that are visible. The grid itself has the focus and names the row
// that is active, since rows come and go.
class Grid {
  constructor(findings, id, on) {
    this.findings = findings;
    this.id = id;
    this.on = on; // sort(column), activate(row), select(rows), open()
    this.rows = [];
    this.drawn = new Map();
    this.active = -1; // a place in rows
    this.anchor = 0;
    this.selected = new Set();
    this.headers = new Map();
    const headers = COLUMNS.map(([name, title]) => {
      const button = element("button", { class: "kg-sort", type: "button", onclick: () => on.sort(name) }, title);
      const header = element("div", { role: "columnheader", class: `kg-${name}`, "aria-sort": "none" }, button);
      this.headers.set(name, header);
      return header;
    });
    this.head = element(
      "div", { role: "rowgroup", class: "kg-head" },
      element("div", { role: "row", class: "kg-row", "aria-rowindex": 1 }, ...headers),
    );
    this.body = element("div", { role: "rowgroup", class: "kg-body" });
    this.root = element(
      "div",
      {
        role: "grid", class: "kg-grid", tabindex: 0, "aria-label": "Findings", "aria-multiselectable": "true",
        "aria-colcount": COLUMNS.length,
        onscroll: () => this.draw(),
        onkeydown: (event) => this.key(event),
      },
      this.head, this.body,
    );
    this.body.addEventListener("click", (event) => {
      const row = event.target.closest("[data-row]");
      if (row === null) return;
      const place = this.rows.indexOf(Number(row.dataset.row));
      if (event.shiftKey) getSelection().removeAllRanges();
      this.go(place, { extend: event.shiftKey, toggle: event.ctrlKey || event.metaKey });
    });
    this.watching = new ResizeObserver(() => this.draw());
    this.watching.observe(this.root);
  }

  show(rows, sort) {
    const active = this.rows[this.active];
    this.rows = rows;
    this.active = active === undefined ? -1 : rows.indexOf(active);
    this.anchor = Math.max(0, this.active);
    for (const [name, header] of this.headers) {
      header.setAttribute("aria-sort", sort.column !== name ? "none" : sort.down ? "descending" : "ascending");
    }
    this.root.setAttribute("aria-rowcount", rows.length + 1);
    // A grid has to have rows, if it is only one that says that there are none.
    this.body.style.height = `${Math.max(rows.length, 1) * ROW}px`;
    for (const row of this.drawn.values()) row.remove();
    this.drawn.clear();
    this.draw();
  }

  draw() {
    const height = this.root.clientHeight - this.head.offsetHeight;
    const first = Math.max(0, Math.floor(this.root.scrollTop / ROW) - SPARE);
    const last = Math.min(this.rows.length, Math.ceil((this.root.scrollTop + height) / ROW) + SPARE);
    const kept = new Set(this.rows.slice(first, last));
    for (const [row, drawn] of this.drawn) {
      if (!kept.has(row)) {
        drawn.remove();
        this.drawn.delete(row);
      }
    }
    const fresh = document.createDocumentFragment();
    for (let place = first; place < last; place++) {
      const row = this.rows[place];
      if (!this.drawn.has(row)) {
        const made = this.row(row);
        this.drawn.set(row, made);
        fresh.append(made);
      }
      const drawn = this.drawn.get(row);
      drawn.style.top = `${place * ROW}px`;
      drawn.setAttribute("aria-rowindex", place + 2);
      drawn.setAttribute("aria-selected", this.selected.has(row));
      drawn.classList.toggle("kg-active", place === this.active);
    }
    this.body.querySelector(".kg-nothing")?.remove();
    if (!this.rows.length) {
      fresh.append(element("div", { role: "row", class: "kg-nothing" },
        element("div", { role: "gridcell" }, this.findings.length ? "No finding passes the filters." : "No findings.")));
    }
    this.body.append(fresh);
    const active = this.drawn.get(this.rows[this.active]);
    if (active) this.root.setAttribute("aria-activedescendant", active.id);
    else this.root.removeAttribute("aria-activedescendant");
  }

  row(row) {
    const { findings } = this;
    const severity = SEVERITIES[findings.severity[row]];
    const cell = (name, text, ...children) =>
      element("div", { role: "gridcell", class: `kg-${name}`, title: text.slice(0, 300) }, ...(children.length ? children : [text]));
    return element(
      "div", { role: "row", class: "kg-row", id: `${this.id}-${row}`, "data-row": row },
      cell("severity", severity, element("span", { class: `kg-badge kg-is-${severity}` }, severity)),
      cell("kind", findings.text("kind", row)),
      cell("where", findings.place(row)),
      cell("code", findings.text("code", row)),
      cell("message", findings.message[row]),
      cell("since", findings.at(row)),
      cell("consequences", findings.consequences[row] ? String(findings.consequences[row]) : ""),
    );
  }

  key(event) {
    if (event.target !== this.root) return;
    const page = Math.max(1, Math.floor((this.root.clientHeight - this.head.offsetHeight) / ROW) - 1);
    const moves = {
      ArrowDown: this.active + 1, ArrowUp: Math.max(0, this.active - 1), PageDown: this.active + page,
      PageUp: this.active - page, Home: 0, End: this.rows.length - 1,
    };
    if (event.key in moves && !event.altKey) {
      this.go(moves[event.key], { extend: event.shiftKey, keep: event.ctrlKey || event.metaKey });
    } else if (event.key === " ") this.go(Math.max(0, this.active), { toggle: true });
    else if (event.key === "Enter") this.on.open();
    else if (event.key.toLowerCase() === "a" && (event.ctrlKey || event.metaKey)) this.choose(new Set(this.rows));
    else return;
    event.preventDefault();
  }

  // Make a place active, and select it, all up to it, or with `toggle` it too.
  go(place, { extend = false, toggle = false, keep = false } = {}) {
    if (!this.rows.length) return;
    this.active = Math.min(Math.max(place, 0), this.rows.length - 1);
    const row = this.rows[this.active];
    this.reveal();
    if (extend) {
      const [from, to] = [this.anchor, this.active].sort((a, b) => a - b);
      this.choose(new Set(this.rows.slice(from, to + 1)));
    } else {
      this.anchor = this.active;
      const chosen = new Set(toggle ? this.selected : [row]);
      if (toggle && !chosen.delete(row)) chosen.add(row);
      if (!keep) this.choose(chosen);
    }
    this.draw();
    this.on.activate(row);
  }

  choose(rows) {
    this.selected = rows;
    this.draw();
    this.on.select([...rows]);
  }

  reveal() {
    const top = this.active * ROW;
    const height = this.root.clientHeight - this.head.offsetHeight;
    if (top < this.root.scrollTop) this.root.scrollTop = top;
    else if (top + ROW > this.root.scrollTop + height) this.root.scrollTop = top + ROW - height;
  }
}

// Chips, lists and the search field. `on` gets the filters whenever the user changes one.
class Filters {
  constructor(findings, id, filters, on) {
    this.findings = findings;
    this.value = { ...ANYTHING, ...filters };
    const change = (changed) => on({ ...this.value, ...changed });
    this.chips = SEVERITIES.map((severity) =>
      element("button", {
        type: "button", class: `kg-chip kg-is-${severity}`, "data-severity": severity,
        onclick: () => {
          const chosen = this.value.severities;
          const without = chosen.filter((each) => each !== severity);
          change({ severities: without.length < chosen.length ? without : [...chosen, severity] });
        },
      }));
    this.lists = LISTED.map((name) =>
      element("select", {
        "aria-label": name, "data-filter": name,
        onchange: (event) => change({ [name]: event.target.value === "*" ? null : event.target.value.slice(1) }),
      }));
    this.roots = element("input", {
      type: "checkbox", id: `${id}-roots`, onchange: (event) => change({ roots: event.target.checked }),
    });
    this.rootsLabel = element("label", { for: `${id}-roots` });
    this.search = element("input", {
      type: "search", class: "kg-search", placeholder: "Search", "aria-label": "Search in findings",
      oninput: (event) => change({ text: event.target.value }),
    });
    this.all = element("button", { type: "button", class: "kg-plain", onclick: () => change(ANYTHING) }, "Clear filters");
    this.root = element(
      "div", { class: "kg-filters", role: "group", "aria-label": "Filters" },
      ...this.chips, ...this.lists, element("span", { class: "kg-check" }, this.roots, this.rootsLabel), this.search, this.all,
    );
  }

  show(filters, counts) {
    this.value = { ...ANYTHING, ...filters };
    this.chips.forEach((chip, rank) => {
      chip.textContent = `${counts.severity[rank].toLocaleString("en")} ${SEVERITIES[rank]}`;
      chip.setAttribute("aria-pressed", this.value.severities.includes(SEVERITIES[rank]));
    });
    this.lists.forEach((list, at) => {
      const name = LISTED[at];
      const chosen = this.value[name];
      // "*" is anything; all others begin with "=", as cluster-wide objects have no namespace.
      const options = this.findings[name].values
        .map((value, place) => [value, counts[name][place]])
        .filter(([value, count]) => count || value === chosen)
        .map(([value, count]) => element("option", { value: `=${value}` }, `${value || "(cluster-wide)"} (${count.toLocaleString("en")})`));
      list.replaceChildren(element("option", { value: "*" }, `Any ${name}`), ...options);
      list.value = chosen === null ? "*" : `=${chosen}`;
      // Of one cluster there is nothing to choose.
      list.hidden = name === "context" && !this.findings.several && chosen === null;
      list.classList.toggle("kg-set", chosen !== null);
    });
    this.roots.checked = this.value.roots;
    this.rootsLabel.textContent = `Root causes only (${counts.roots.toLocaleString("en")})`;
    if (this.search.value !== this.value.text) this.search.value = this.value.text;
    this.all.hidden = JSON.stringify(this.value) === JSON.stringify(ANYTHING);
  }
}

// The pane beside the table: all that is known about the active finding, and what is said about it.
class Pane {
  constructor(findings, model, on) {
    this.findings = findings;
    this.model = model;
    this.on = on; // go(row), explain(rows, question), close()
    this.row = null;
    this.said = new Map(); // row: answers
    this.coming = new Map(); // row: the beginning of an answer
    this.objects = new Map();
    this.busy = false;
    this.answers = element("div", { class: "kg-answers", "aria-live": "polite" });
    this.root = element("section", {
      class: "kg-pane", "aria-label": "Details", tabindex: -1, hidden: true,
      onkeydown: (event) => {
        if (event.key === "Escape") on.close();
      },
    });
  }

  show(row) {
    const { findings } = this;
    this.row = row;
    this.root.hidden = false;
    const severity = SEVERITIES[findings.severity[row]];
    const cause = findings.cause[row];
    const followers = findings.followers.get(row) || [];
    const fact = (name, ...value) => [element("dt", {}, name), element("dd", {}, ...value)];
    const facts = [
      ...(findings.since[row] === null ? [] : fact("Since", `${findings.at(row)} UTC`)),
      ...(findings.parent[row] ? fact("Belongs to", findings.owners?.[row] || findings.parent[row]) : []),
      ...(typeof cause === "number" ? fact("Caused by", this.link(cause)) : cause ? fact("Caused by", cause) : []),
    ];
    this.root.replaceChildren(
      element("div", { class: "kg-title" },
        element("span", { class: `kg-badge kg-is-${severity}` }, severity), " ",
        element("strong", {}, findings.text("code", row)),
        element("button", { type: "button", class: "kg-plain kg-close", onclick: this.on.close, "aria-label": "Close details" }, "✕")),
      element("div", { class: "kg-object" }, `${findings.text("kind", row)} ${findings.place(row)}`),
      element("p", { class: "kg-said" }, findings.message[row]),
      ...(facts.length ? [element("dl", {}, ...facts)] : []),
      this.asking(row),
      this.answers,
      ...this.section("Evidence", findings.evidence[row].length &&
        element("dl", { class: "kg-evidence" }, ...findings.evidence[row].flatMap(([source, value]) => fact(source, value)))),
      ...this.section(`Leads to ${findings.consequences[row]} more`, followers.length &&
        element("ul", {}, ...followers.slice(0, 20).map((each) => element("li", {}, this.link(each))),
          followers.length > 20 ? element("li", {}, `and ${followers.length - 20} more`) : null)),
      ...this.section("Commands", element("div", {}, ...findings.commands(row, this.model.get("kubectl")).map((each) => this.command(each)))),
      ...this.section("Object", this.object(row)),
    );
    this.root.scrollTop = 0;
    this.answer();
  }

  section(title, content) {
    return content ? [element("div", { class: "kg-section", role: "heading", "aria-level": 4 }, title), content] : [];
  }

  link(row) {
    const words = `${this.findings.text("kind", row)} ${this.findings.place(row)}: ${this.findings.text("code", row)}`;
    return element("button", { type: "button", class: "kg-link", onclick: () => this.on.go(row) }, words);
  }

  command(text, ...marks) {
    const code = element("code", {}, text);
    const button = element("button", {
      type: "button", class: "kg-copy", "aria-label": `Copy ${text}`,
      onclick: async () => {
        await copy(text, code);
        button.textContent = "Copied";
        setTimeout(() => (button.textContent = "Copy"), 1500);
      },
    }, "Copy");
    return element("div", { class: "kg-command" }, code, ...marks, button);
  }

  object(row) {
    const place = element("div", {});
    const known = this.objects.get(row);
    if (known !== undefined) place.append(element("pre", { tabindex: 0, "aria-label": "The object as YAML" }, known));
    else {
      place.append(element("button", {
        type: "button", class: "kg-plain",
        onclick: () => this.on.ask({ type: "object", row }),
      }, "Show what was read of it"));
    }
    return place;
  }

  asking(row) {
    const put = () => {
      if (question.value.trim() && !this.busy) this.on.explain([row], question.value.trim());
    };
    const question = element("input", {
      type: "text", "aria-label": "Question about this finding", placeholder: "Ask about it",
      // Notebooks have a use of their own for Enter, and keep it from the form.
      onkeydown: (event) => {
        if (event.key !== "Enter" || event.isComposing) return;
        event.preventDefault();
        event.stopPropagation();
        put();
      },
    });
    this.button = element("button", { type: "button", class: "kg-main", onclick: () => this.on.explain([row], "") }, "Explain");
    this.send = element("button", { type: "submit", class: "kg-plain" }, "Ask");
    return element("form", {
      class: "kg-asking",
      onsubmit: (event) => {
        event.preventDefault();
        put();
      },
    }, this.button, question, this.send);
  }

  // What has been said about the finding, and what is coming.
  answer() {
    if (this.row === null) return;
    this.button.disabled = this.send.disabled = this.busy;
    const coming = this.coming.get(this.row);
    this.answers.replaceChildren(
      ...(this.said.get(this.row) || []).map((each) => this.block(each)),
      ...(coming === undefined ? [] : [element("div", { class: "kg-answer" }, coming ? `${coming} …` : "Waiting for an answer …")]),
    );
  }

  block({ ask, failure, explanation, steps, commands, docs, by, confidence, cached }) {
    const facts = [by, confidence && `confidence ${confidence}`, cached && "from the cache"].filter(Boolean).join(", ");
    const asked = ask ? element("div", { class: "kg-question" }, ask) : null;
    if (failure) return element("div", { class: "kg-answer" }, asked, `Not explained: ${failure}`);
    return element(
      "div", { class: "kg-answer" }, asked,
      element("div", {}, explanation),
      ...steps.map((step) => element("div", { class: "kg-step" }, step)),
      ...commands.map(({ command, changes, danger }) => this.command(command,
        danger ? element("strong", { class: "kg-danger" }, danger) : changes ? element("span", { class: "kg-faint" }, "changes the cluster") : null)),
      docs ? element("div", { class: "kg-faint" }, docs) : null,
      element("div", { class: "kg-faint" }, facts),
    );
  }
}

let views = 0;

async function render({ model, el }) {
  const id = `k8sgpt-view-${++views}`;
  const findings = new Findings(await unpacked(model.get("packed")));
  let rows = [];
  let saving = null;
  let isCounting = false; // what the status says is how far an explanation is

  const save = (changed, wait = 0) => {
    for (const [name, value] of Object.entries(changed)) model.set(name, value);
    clearTimeout(saving);
    saving = setTimeout(() => model.save_changes(), wait);
  };
  // Text that the kernel has to answer; it may be busy, or gone.
  let answered = null;
  const ask = (message) => {
    clearTimeout(answered);
    answered = setTimeout(() => say("No answer from the kernel yet: it is busy, or not running."), 3000);
    model.send(message);
  };
  const status = element("span", { class: "kg-status", role: "status" });
  const say = (text) => (status.textContent = text);

  const pane = new Pane(findings, model, {
    go: (row) => {
      if (!rows.includes(row)) refilter(ANYTHING);
      grid.go(rows.indexOf(row));
      grid.root.focus({ preventScroll: true });
    },
    close: () => {
      pane.root.hidden = true;
      pane.row = null;
      root.classList.remove("kg-open");
      grid.draw();
      grid.root.focus({ preventScroll: true });
    },
    explain: (numbers, question) => ask({ type: "explain", rows: numbers, ask: question }),
    ask,
  });
  const grid = new Grid(findings, id, {
    sort: (column) => {
      const { column: before, down } = model.get("sort");
      const first = ["since", "consequences"].includes(column);
      // The order of the analysis comes back with the third click.
      const next = before !== column ? { column, down: first } : down === first ? { column, down: !first } : { column: "", down: false };
      save({ sort: next });
      update();
    },
    activate: (row) => {
      root.classList.add("kg-open");
      pane.show(row);
      grid.reveal();
    },
    select: (chosen) => {
      tally();
      save({ selected: chosen }, 100);
    },
    open: () => {
      if (grid.active < 0) grid.go(0);
      if (pane.root.hidden) grid.on.activate(rows[grid.active]);
      pane.root.focus({ preventScroll: true });
    },
  });
  const refilter = (value) => {
    save({ filters: value }, 150);
    update();
  };
  const filters = new Filters(findings, id, model.get("filters"), refilter);

  const number = element("span", { class: "kg-number", role: "status" });
  const button = (text, onclick) => element("button", { type: "button", class: "kg-plain", onclick }, text);
  const every = button("", () => ask({ type: "explain", rows, ask: "" }));
  const stop = button("Stop", () => ask({ type: "stop" }));
  stop.hidden = true;
  const exports = element(
    "span", { class: "kg-exports", role: "group", "aria-label": "Export the rows shown" }, "Export shown: ",
    button("CSV", () => download("findings.csv", "text/csv", csv(findings, rows))),
    button("Markdown", () => download("findings.md", "text/markdown", markdown(findings, rows))),
    button("to a variable", () => ask({ type: "variable", rows })),
  );
  const tally = () => {
    const of = rows.length === findings.length ? plural(rows.length, "finding") : `${rows.length.toLocaleString("en")} of ${plural(findings.length, "finding")}`;
    number.textContent = grid.selected.size > 1 ? `${of}, ${grid.selected.size.toLocaleString("en")} selected` : of;
    every.textContent = `Explain all ${rows.length.toLocaleString("en")} shown`;
    every.disabled = !rows.length || pane.busy;
    for (const each of exports.children) each.disabled = !rows.length;
  };

  const update = () => {
    const { passes, counts } = findings.filtered({ ...ANYTHING, ...model.get("filters") });
    const sort = model.get("sort");
    rows = findings.sorted(sort).filter((row) => passes[row]);
    filters.show(model.get("filters"), counts);
    grid.show(rows, sort);
    tally();
  };

  const root = element(
    "div", { class: "kg", "data-lm-suppress-shortcuts": "true" },
    element("div", { class: "kg-headline" }, model.get("headline")),
    ...model.get("notes").map((note) => element("div", { class: "kg-note" }, note)),
    filters.root,
    element("div", { class: "kg-main-part" }, grid.root, pane.root),
    element("div", { class: "kg-foot" }, number, every, stop, exports, status),
  );

  const working = (busy) => {
    pane.busy = busy;
    stop.hidden = !busy;
    pane.answer();
    tally();
  };
  const received = (message) => {
    clearTimeout(answered);
    const { type, row, text } = message;
    if (type === "started") {
      message.rows.forEach((each) => pane.coming.set(each, ""));
      say("");
      working(true);
    } else if (type === "text") pane.coming.set(row, text);
    else if (type === "answer") {
      pane.coming.delete(row);
      pane.said.set(row, [...(pane.said.get(row) || []), message.answer]);
    } else if (type === "finished") {
      pane.coming.clear();
      working(false);
      if (isCounting) say("");
    } else if (type === "object") {
      pane.objects.set(row, text);
      if (pane.row === row) pane.show(row);
    }
    isCounting = type === "progress" || (isCounting && type !== "said");
    if (type === "progress" || type === "said") say(text);
    else if (row === pane.row) pane.answer();
  };
  const remembered = () => {
    for (const [row, given] of Object.entries(findings.explained || {})) {
      if (given.explanation || given.failure) pane.said.set(Number(row), [given]);
    }
    for (const [row, given] of Object.entries(model.get("answers"))) {
      pane.said.set(Number(row), [...(findings.explained?.[row]?.explanation ? [findings.explained[row]] : []), ...given]);
    }
  };
  const chosen = () => {
    grid.selected = new Set(model.get("selected"));
    grid.draw();
    tally();
  };
  const events = { "msg:custom": received, "change:filters": update, "change:sort": update, "change:selected": chosen };
  for (const [name, handler] of Object.entries(events)) model.on(name, handler);

  remembered();
  // While this is on the page, the static table is not; once this is gone, it is there again.
  const name = model.get("static");
  if (/^[0-9a-f]+$/.test(name)) {
    root.append(element("style", {}, `.jp-OutputArea-child:has(.k8sgpt-${name}), .k8sgpt-${name} { display: none !important }`));
  }
  el.append(root);
  grid.selected = new Set(model.get("selected"));
  update();
  return () => {
    clearTimeout(saving);
    clearTimeout(answered);
    grid.watching.disconnect();
    for (const [event, handler] of Object.entries(events)) model.off(event, handler);
    root.remove();
  };
}

export default { render };
