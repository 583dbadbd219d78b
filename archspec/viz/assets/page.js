// The page of `archspec viz`: shows the drawing that lies in the page as data. Every text becomes a text node; nothing of the
// drawing is ever parsed as markup or run.
"use strict";

const drawing = JSON.parse(document.getElementById("drawing").textContent);
const at = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const START_NODES = 26; // boxes are opened from the outside in while no more than this is seen
const MOST_IN_A_BOX = 150; // more nodes side by side are parted into runs
const MOST_UNFOLDED = 400; // nodes that are unfolded at once: more take longer to lay out than people wait, and to read
const LEAST_ZOOM = 0.6; // a wider picture is scrolled
const MANY_EDGES = 300; // above, dot works with less care
const TOO_MANY_EDGES = 1500; // above, dot takes longer than people wait: layers and boxes give way to springs
const FIGURES = { parameters: "parameters", flops: "FLOPs", nbytes: "bytes", seconds: "time" };
const SUMS = [...Object.keys(FIGURES), "floor"];
const PARTS = { step: "step", kernels: "kernels", driver: "between kernels", host: "around kernels", plain: "step without clocks" };
const NOTHING = Object.fromEntries(SUMS.map((figure) => [figure, 0]));
const measured = !!drawing.step.step;
const state = { view: 0, overlay: measured ? "seconds" : "", sizes: false, chosen: null, zoom: 1 };
let engine = null;
const complaints = []; // what the engine says of a layout

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function short(number) {
  for (const [unit, size] of [["T", 1e12], ["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
    if (number >= size) return (number / size).toPrecision(3) + " " + unit;
  }
  return String(number);
}

function time_text(seconds) {
  for (const [unit, size] of [["s", 1], ["ms", 1e-3], ["µs", 1e-6]]) {
    if (seconds >= size) return (seconds / size).toPrecision(3) + " " + unit;
  }
  return (seconds * 1e9).toFixed(0) + " ns";
}

const percent = (share) => (100 * share).toPrecision(share < 0.1 ? 2 : 3) + " %";

// A figure as the picture says it, and as the panel beside it does.
const brief = (figure, number) => (figure === "seconds" ? time_text(number) : short(number) + " " + FIGURES[figure]);
const whole = (figure, number) => (figure === "seconds" ? time_text(number) + ", " + percent(number / drawing.step.step) + " of the step" : number.toLocaleString("en"));

// --- views: who lies in what, and what each box sums up to -----------------------------------------------------------

function prepare(view) {
  const boxes = new Map(view.boxes.map((b) => [b.id, { times: 1, ...b }]));
  const raw = { boxes, nodes: new Map(view.nodes.map((n) => [n.id, { ...n, home: n.parent }])), edges: view.edges };
  part(raw);
  const prepared = { ...view, raw, spread: new Set(), open: new Set() };
  lay_out(prepared);
  open_outer(prepared);
  return prepared;
}

// Many nodes that lie side by side in one box are put into boxes of their own, run by run in their order.
function part(raw) {
  const inside = new Map();
  for (const node of raw.nodes.values()) {
    if (!inside.has(node.parent)) inside.set(node.parent, []);
    inside.get(node.parent).push(node);
  }
  for (const [parent, nodes] of inside) {
    if (nodes.length <= MOST_IN_A_BOX) continue;
    const length = Math.max(Math.ceil(Math.sqrt(nodes.length)), 1);
    for (let start = 0; start < nodes.length; start += length) {
      const run = nodes.slice(start, start + length), id = `${parent} from ${run[0].id}`;
      raw.boxes.set(id, { times: 1, id, parent, label: `${run[0].label} … ${run[run.length - 1].label}` });
      for (const node of run) node.parent = id;
    }
  }
}

function lay_out(view) {
  const boxes = spread_boxes(view.raw, view.spread), nodes = spread_nodes(view.raw, view.spread);
  for (const box of boxes.values()) if (boxes.has(box.parent)) boxes.get(box.parent).boxes.push(box.id);
  for (const node of nodes.values()) {
    if (boxes.has(node.parent)) boxes.get(node.parent).inside.push(node.id);
    for (let p = node.parent; boxes.has(p); p = boxes.get(p).parent) {
      for (const figure of SUMS) boxes.get(p)[figure] += node[figure];
    }
  }
  Object.assign(view, { boxes, nodes, edges: spread_edges(view.raw, view.spread) });
}

function open_outer(view, most = START_NODES) {
  let seen = [...view.nodes.values()].filter((n) => !view.boxes.has(n.parent)).length;
  const waiting = [...view.boxes.values()].filter((b) => !view.boxes.has(b.parent));
  seen += waiting.length;
  while (waiting.length) {
    const box = waiting.shift();
    const more = box.inside.length + box.boxes.length - 1;
    if (seen + more > most) continue;
    seen += more;
    view.open.add(box.id);
    waiting.push(...box.boxes.map((id) => view.boxes.get(id)));
  }
}

function ancestors(view, parent) {
  const found = [];
  for (let p = parent; view.boxes.has(p); p = view.boxes.get(p).parent) found.unshift(p);
  return found;
}

// What stands for a node or box: itself, or the outermost closed box around it.
function seen_as(view, id) {
  const item = view.nodes.get(id) || view.boxes.get(id);
  return ancestors(view, item.parent).find((box) => !view.open.has(box)) || id;
}

// The engine knows how wide Helvetica is. Where the page has another font, letters are laid out as much larger as that is wider,
// and shown in their own size.
const SAMPLE = "classify [B, T, D] 0123456789 linear", SAMPLE_WIDTH = 15.785; // in Helvetica, of letters that are 1 high
const SIZES = { node: 11, edge: 9 };

function font_scale() {
  const canvas = document.createElement("canvas").getContext("2d");
  canvas.font = "100px " + getComputedStyle(document.documentElement).getPropertyValue("--drawn");
  return Math.max(canvas.measureText(SAMPLE).width / 100 / SAMPLE_WIDTH, 1);
}

const scale = font_scale();
const CLUSTER = { fontname: "Helvetica", fontsize: String(SIZES.node * scale), style: "rounded", labeljust: "l" };

// --- the graph that the layout engine is given ------------------------------------------------------------------------

const literal = (text) => text.replaceAll("\\", "\\\\");

// How often a node occurs, where the boxes around it do not say so.
function times(view, item) {
  const around = ancestors(view, item.parent).reduce((product, id) => product * view.boxes.get(id).times, 1);
  return view.boxes.has(item.id) || Math.round(item.times) === around ? "" : ` ×${Math.round(item.times)} of ${around}`;
}

function node_label(view, item, is_box) {
  const figure = state.overlay && item[state.overlay] ? "\n" + brief(state.overlay, item[state.overlay]) : "";
  const threads = item.threads ? "\n" + item.threads : "";
  const shape = is_box ? "" : state.sizes ? item.sizes : item.shape;
  const mark = is_box ? "▸ " : view.name === "compiled" ? item.order + 1 + ". " : ""; // kernels run in this order
  return literal(mark + item.label + times(view, item) + (shape ? "  " + shape : "") + threads + figure);
}

function drawn_node(view, id) {
  const box = view.boxes.get(id);
  const item = box || view.nodes.get(id);
  return { name: id, attributes: { id: "g:" + id, label: node_label(view, item, !!box), class: box ? "box" : item.kind } };
}

function cluster(view, box) {
  const label = literal("▾ " + box.label);
  return { name: "cluster_" + box.id, graphAttributes: { id: "g:" + box.id, label, ...CLUSTER }, ...contents(view, box.inside, box.boxes) };
}

function contents(view, inside, boxes) {
  const closed = boxes.filter((id) => !view.open.has(id));
  const open = boxes.filter((id) => view.open.has(id)).map((id) => view.boxes.get(id));
  return { nodes: [...inside, ...closed].map((id) => drawn_node(view, id)), subgraphs: open.map((box) => cluster(view, box)) };
}

function drawn_edges(view) {
  const edges = new Map();
  for (const edge of view.edges) {
    const tail = seen_as(view, edge.source), head = seen_as(view, edge.target);
    if (tail === head) continue;
    const key = JSON.stringify([tail, head]);
    const label = state.sizes ? view.nodes.get(edge.source).sizes : edge.label;
    if (!edges.has(key)) edges.set(key, { tail, head, labels: new Set(), count: 0, aside: true });
    edges.get(key).labels.add(label);
    edges.get(key).count++;
    edges.get(key).aside &&= !!edge.aside;
  }
  return [...edges.values()].map(({ tail, head, labels, count, aside }) => {
    if (aside) return { tail, head, attributes: { class: "aside", constraint: "false" } };
    const label = labels.size === 1 ? [...labels][0] : count + " values";
    const plain = view.nodes.has(tail) ? "" : literal(label); // a node that is seen has its shape in it
    return { tail, head, attributes: { label: plain } };
  });
}

function whole_graph(view) {
  const outer = [...view.nodes.values()].filter((n) => !view.boxes.has(n.parent)).map((n) => n.id);
  const boxes = [...view.boxes.values()].filter((b) => !view.boxes.has(b.parent)).map((b) => b.id);
  const body = contents(view, outer, boxes), edges = drawn_edges(view);
  const fast = edges.length > MANY_EDGES ? { splines: "line", nslimit: "0.01", mclimit: "0.01", remincross: "false", searchsize: "1" } : {};
  return {
    directed: true,
    graphAttributes: { bgcolor: "transparent", nodesep: "0.2", ranksep: "0.35", ...fast },
    nodeAttributes: { shape: "box", style: "rounded,filled", fillcolor: "white", fontname: "Helvetica", fontsize: String(SIZES.node * scale), margin: "0.14,0.05", height: "0.3", width: "0.3" },
    edgeAttributes: { fontname: "Helvetica", fontsize: String(SIZES.edge * scale), arrowsize: "0.6" },
    ...body,
    edges,
  };
}

// --- showing -------------------------------------------------------------------------------------------------------------

const views = drawing.views.map(prepare);
const names = [...views.map((v) => v.title), ...(drawing.arena ? ["Memory"] : [])];
const current = () => views[state.view];

function show() {
  [...at("views").children].forEach((tab, k) => tab.setAttribute("aria-selected", String(k === state.view)));
  const picture = at("picture");
  const made = current() ? picture_of(current()) : memory_picture();
  picture.replaceChildren(made);
  picture.classList.toggle("heat", !!state.overlay && !!current());
  zoom();
  details();
}

function picture_of(view) {
  const svg = laid_out(whole_graph(view));
  svg.dataset.width = parseFloat(svg.getAttribute("width"));
  for (const title of svg.querySelectorAll("title")) title.remove();
  for (const group of svg.querySelectorAll("g.node, g.cluster")) prepare_group(view, group);
  return svg;
}

// The engine's picture. Where it cannot bend all edges around the boxes, they become straight.
function laid_out(graph) {
  const many = graph.edges.length > TOO_MANY_EDGES, options = { format: "svg", engine: many ? "sfdp" : "dot" };
  complaints.length = 0;
  let made = engine.render(graph, options);
  const told = [...complaints, ...made.errors.map((error) => error.message)].filter((text) => !/no value for width/.test(text));
  if (!many && told.length) made = engine.render({ ...graph, graphAttributes: { ...graph.graphAttributes, splines: "false" } }, options);
  return document.importNode(new DOMParser().parseFromString(made.output, "image/svg+xml").documentElement, true);
}

function prepare_group(view, group) {
  const id = group.id.slice(2);
  const item = view.boxes.get(id) || view.nodes.get(id);
  const most = Math.max(...[...view.nodes.values(), ...view.boxes.values()].map((n) => n[state.overlay] || 0), 1e-12);
  if (state.overlay) group.style.setProperty("--share", Math.sqrt((item[state.overlay] || 0) / most));
  group.classList.toggle("chosen", id === state.chosen);
  group.setAttribute("tabindex", "0");
  group.setAttribute("role", "button");
  group.setAttribute("aria-label", item.label);
  group.addEventListener("click", (event) => { event.stopPropagation(); choose(id, group.classList.contains("box")); });
  group.addEventListener("dblclick", () => { if (view.open.has(id)) toggle(id); });
  group.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    if (view.boxes.has(id)) toggle(id); else choose(id);
  });
}

function choose(id, unfold = false) {
  state.chosen = id;
  if (unfold) current().open.add(id);
  if (unfold) show(); else mark();
  details();
}

function mark() {
  for (const group of document.querySelectorAll("#picture .chosen")) group.classList.remove("chosen");
  const group = at("g:" + state.chosen);
  if (group) group.classList.add("chosen");
}

function toggle(id) {
  const open = current().open;
  if (open.has(id)) open.delete(id); else open.add(id);
  state.chosen = id;
  show();
  const group = at("g:" + id);
  if (group) group.focus();
}

function zoom() {
  const svg = at("picture").querySelector("svg[data-width]");
  if (!svg) return;
  const width = svg.dataset.width * 1.333, room = at("picture").clientWidth - 32;
  const fitted = Math.max(Math.min(1, room / width), LEAST_ZOOM);
  svg.setAttribute("width", width * fitted * state.zoom);
  svg.removeAttribute("height");
}

function reveal(view_number, id) {
  state.view = view_number;
  const view = current(), item = view.nodes.get(id) || view.boxes.get(id);
  for (const box of ancestors(view, item.parent)) view.open.add(box);
  state.chosen = id;
  show();
  const group = at("g:" + id);
  if (group) { group.scrollIntoView({ block: "center", inline: "center" }); group.focus({ preventScroll: true }); }
}

// --- details ---------------------------------------------------------------------------------------------------------------

function details() {
  const panel = at("details"), view = current();
  const item = view && (view.nodes.get(state.chosen) || view.boxes.get(state.chosen));
  const bar = !view && drawing.arena.bars[state.chosen];
  panel.replaceChildren(...(item ? item_details(view, item) : bar ? bar_details(bar) : about()));
}

function about() {
  const sizes = Object.entries(drawing.sizes).map(([name, size]) => name + " = " + size.toLocaleString("en"));
  const keys = [["/", "search"], ["1 … " + names.length, "views"], ["Tab, Enter", "walk and unfold"], ["e, c", "unfold, fold all"], ["x", "all copies of a repeat, or one"], ["+, -", "zoom"], ["d", "light or dark"]];
  return [element("h2", drawing.title), listing([["sizes", sizes.join(", ") || "none"]]), ...totals(), ...step_parts(), element("h3", "Keys"), listing(keys)];
}

function step_parts() {
  if (!measured) return [];
  return [element("h3", "A step, measured"), listing(Object.entries(PARTS).map(([part, name]) => [name, time_text(drawing.step[part])]))];
}

function totals() {
  if (!current()) return arena_totals();
  const sums = Object.keys(FIGURES).map((figure) => {
    const total = [...current().nodes.values()].reduce((sum, n) => sum + n[figure], 0);
    return [FIGURES[figure], total ? whole(figure, total) : ""];
  });
  return [element("h3", "In this view"), listing(sums.filter(([, text]) => text))];
}

function arena_totals() {
  const { total, lower_bound: least } = drawing.arena;
  return [element("h3", "Arena"), listing([["bytes", total.toLocaleString("en")], ["alive at once", least.toLocaleString("en")]])];
}

function listing(rows) {
  const list = element("dl");
  for (const [name, text] of rows) list.append(element("dt", name), element("dd", text));
  return list;
}

function item_details(view, item) {
  const is_box = view.boxes.has(item.id), parts = [element("h2", item.label)];
  const path = is_box ? item.path : [item.path, item.label].filter(Boolean).join("/");
  const copies = Math.round(item.times), copy = is_box && item.copies > 1 ? `${item.copy + 1} of ${item.copies}` : "";
  const rows = [["path", path], ["shape", item.shape], ["sizes", item.sizes], ["copies", copies > 1 ? String(copies) : ""], ["copy", copy]];
  for (const [figure, name] of Object.entries(FIGURES)) rows.push([name, item[figure] ? whole(figure, item[figure]) : ""]);
  rows.push(["of the floor", item.floor && item.seconds ? percent(item.floor / item.seconds) : ""], ["threads share", item.threads || ""]);
  parts.push(listing(rows.filter(([, text]) => text)));
  if (is_box) parts.push(...box_buttons(view, item));
  if (item.later) parts.push(element("p", "Figures are means of the copies; what follows is written as in the first one.", { class: "faint" }));
  for (const [title, text] of [["Spec", item.line], ["Equation", (item.equations || []).join("\n")], ["Gradient", gradient_of(item)]]) {
    if (text) parts.push(element("h3", title), element("pre", text));
  }
  const code = item.code && drawing.sources[item.code];
  if (code) parts.push(element("h3", "Generated code"), element("pre", code, { class: "code", tabindex: "0" }));
  return parts;
}

// The derived gradient of a node; the view as written has none of its own.
function gradient_of(item) {
  if (item.gradient) return item.gradient.join("\n");
  const twin = views.flatMap((v) => [...v.raw.nodes.values()]).find((n) => n.gradient && n.parent === item.box && n.label === item.label && n.shape === item.shape);
  return twin && item.kind !== "backward" ? twin.gradient.join("\n") : "";
}

function box_buttons(view, box) {
  const fold = element("button", view.open.has(box.id) ? "Fold" : "Unfold");
  fold.addEventListener("click", () => toggle(box.id));
  if (box.times === 1 && box.copies === 1) return [fold];
  const spread = element("button", box.copies > 1 ? `Draw the ${box.copies} copies once` : `Draw all ${box.times} copies`, { id: "copies" });
  spread.addEventListener("click", () => spread_out(box));
  return [fold, " ", spread];
}

// --- search and keys ----------------------------------------------------------------------------------------------------------

function search() {
  const wanted = at("search").value.trim().toLowerCase(), list = at("found");
  const hits = wanted ? views.flatMap((view, k) => [...view.boxes.values(), ...view.nodes.values()].filter((i) => matches(i, wanted)).map((i) => [k, i])) : [];
  hits.sort((a, b) => (b[0] === state.view) - (a[0] === state.view));
  list.replaceChildren(...hits.slice(0, 40).map(([k, item]) => hit(k, item)));
  if (wanted && !hits.length) list.append(element("li", "nothing found"));
  list.hidden = !wanted;
}

function matches(item, wanted) {
  return [item.label, item.parent + "/" + item.label, ...(item.equations || [])].some((text) => text.toLowerCase().includes(wanted));
}

function hit(view_number, item) {
  const button = element("button", item.label + " ");
  button.append(element("small", `${item.parent}  ·  ${views[view_number].title}`));
  button.addEventListener("click", () => { at("found").hidden = true; reveal(view_number, item.id); });
  const line = element("li");
  line.append(button);
  return line;
}

function unfold_all(open) {
  const view = current();
  if (!view) return;
  view.open = new Set();
  if (open) open_outer(view, MOST_UNFOLDED);
  show();
}

function select_view(number) {
  state.view = number;
  state.chosen = null;
  show();
}

function resize(factor) {
  state.zoom = Math.min(Math.max(state.zoom * factor, 0.2), 8);
  zoom();
}

function spread_chosen() {
  const view = current(), box = view && view.boxes.get(state.chosen);
  if (box && (box.times > 1 || box.copies > 1)) spread_out(box);
}

const KEYS = {
  "/": () => at("search").focus(), e: () => unfold_all(true), c: () => unfold_all(false), d: () => document.documentElement.classList.toggle("dark"),
  x: spread_chosen, "+": () => resize(1.25), "-": () => resize(0.8), Escape: () => { at("found").hidden = true; state.chosen = null; mark(); details(); },
};

function key(event) {
  const typing = ["INPUT", "SELECT"].includes(event.target.tagName);
  if (event.key === "Enter" && event.target === at("search")) { const first = at("found").querySelector("button"); if (first) first.click(); return; }
  if (event.ctrlKey || event.metaKey || event.altKey || (typing && event.key !== "Escape")) return;
  const number = Number(event.key);
  if (number >= 1 && number <= names.length) { select_view(number - 1); return; }
  if (KEYS[event.key]) { event.preventDefault(); KEYS[event.key](); }
}

function connect() {
  at("title").textContent = drawing.title;
  names.forEach((name, k) => {
    const tab = element("button", name, { role: "tab" });
    tab.addEventListener("click", () => select_view(k));
    at("views").append(tab);
  });
  if (measured) at("overlay").append(element("option", "time", { value: "seconds" }));
  at("overlay").value = state.overlay;
  at("search").addEventListener("input", search);
  at("overlay").addEventListener("change", (event) => { state.overlay = event.target.value; show(); });
  at("sizes").addEventListener("change", (event) => { state.sizes = event.target.checked; show(); });
  for (const [id, name] of [["unfold", "e"], ["fold", "c"], ["larger", "+"], ["smaller", "-"], ["scheme", "d"]]) at(id).addEventListener("click", KEYS[name]);
  document.addEventListener("keydown", key);
  window.addEventListener("resize", () => { if (current()) zoom(); else show(); });
  if (window.matchMedia("(prefers-color-scheme: dark)").matches) document.documentElement.classList.add("dark");
}

const say = console.error;
console.error = (text) => complaints.push(text); // the engine keeps it as its own
Viz.instance().then((made) => {
  console.error = say;
  engine = made;
  connect();
  show();
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
});
