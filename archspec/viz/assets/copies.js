"use strict";

// Copies: a repeat is drawn once, and as many times as there are copies where that is asked for.
//
// They are numbered through all repeats around something, the innermost fastest: number = (outer * times + inner).
// `view.spread` holds the boxes whose copies are drawn side by side.

function repeats_around(raw, id) {
  const found = [];
  for (let box = raw.boxes.get(id); box; box = raw.boxes.get(box.parent)) if (box.times > 1) found.unshift(box);
  return found;
}

// The number of a copy as a number in each repeat.
function digits(repeats, number) {
  const found = new Array(repeats.length);
  for (let k = repeats.length - 1; k >= 0; k--) {
    found[k] = number % repeats[k].times;
    number = Math.floor(number / repeats[k].times);
  }
  return found;
}

const range = (count) => Array.from({ length: count }, (_, k) => k);
const count_of = (repeats) => repeats.reduce((product, box) => product * box.times, 1);

// The name of a drawn thing: its own, and which copy it is of each repeat that is spread out.
function instance(spread, id, repeats, at) {
  const shown = repeats.map((box, k) => (spread.has(box.id) ? at[k] : -1)).filter((k) => k >= 0);
  return shown.length ? id + " copy " + shown.join(".") : id;
}

// The path of a copy: the number of the first one is replaced by its own.
function path_of(id, repeats, at, spread) {
  const parts = id.split("/");
  repeats.forEach((box, k) => {
    const place = box.id.split("/").length - 1;
    if (spread.has(box.id)) parts[place] = String(Number(parts[place]) + at[k]);
  });
  return parts.join("/");
}

function spread_boxes(raw, spread) {
  const boxes = new Map();
  for (const box of raw.boxes.values()) {
    const repeats = repeats_around(raw, box.id), outer = repeats_around(raw, box.parent);
    const is_spread = spread.has(box.id);
    for (const number of range(count_of(repeats))) {
      const at = digits(repeats, number), id = instance(spread, box.id, repeats, at);
      if (boxes.has(id)) continue;
      const parent = raw.boxes.has(box.parent) ? instance(spread, box.parent, outer, at) : box.parent;
      const path = path_of(box.id, repeats, at, spread);
      const label = is_spread ? path.split("/").slice(-2).join("/") : box.label;
      boxes.set(id, { line: "", ...box, id, of: box.id, path, parent, label, times: is_spread ? 1 : box.times, copies: is_spread ? box.times : 1, copy: at[at.length - 1], inside: [], boxes: [], ...NOTHING });
    }
  }
  return boxes;
}

function spread_nodes(raw, spread) {
  const nodes = new Map();
  for (const node of raw.nodes.values()) {
    const repeats = repeats_around(raw, node.parent), all = node.copies || range(count_of(repeats));
    const made = new Map();
    all.forEach((number, place) => {
      const at = digits(repeats, number), id = instance(spread, node.id, repeats, at);
      if (!made.has(id)) made.set(id, { at, count: 0, order: node.orders ? node.orders[place] : node.order });
      made.get(id).count++;
    });
    for (const [id, { at, count, order }] of made) {
      const share = count / all.length, figures = Object.fromEntries(SUMS.map((f) => [f, (node[f] || 0) * share]));
      const parent = raw.boxes.has(node.parent) ? instance(spread, node.parent, repeats, at) : node.parent;
      const copy = made.size > 1 ? path_of(node.home, repeats, at, spread) : node.home;
      nodes.set(id, { shape: "", sizes: "", ...node, ...figures, id, parent, box: node.parent, path: copy, order, times: (node.times || 1) * share, later: at.some((k) => k > 0) && made.size > 1 });
    }
  }
  return nodes;
}

function pairs_of(edge, count) {
  if (!edge.copies) return range(count).map((k) => [k, k]);
  return edge.copies.flatMap(([a, b, da, db, length]) => range(length).map((k) => [a + da * k, b + db * k]));
}

function spread_edges(raw, spread) {
  if (!spread.size) return raw.edges.filter((edge) => !edge.across);
  const edges = new Map();
  for (const edge of raw.edges) {
    const [tail, head] = [edge.source, edge.target].map((id) => repeats_around(raw, raw.nodes.get(id).parent));
    for (const [from, to] of pairs_of(edge, count_of(tail))) {
      const a = digits(tail, from), b = digits(head, to);
      const folded = tail.some((box, k) => box === head[k] && !spread.has(box.id) && a[k] !== b[k]);
      const source = instance(spread, edge.source, tail, a), target = instance(spread, edge.target, head, b);
      if (!folded && source !== target) edges.set(JSON.stringify([source, target]), { ...edge, source, target });
    }
  }
  return [...edges.values()];
}

// Draws the copies of a repeat side by side, closed, or the one that stands for all.
function spread_out(box) {
  const view = current();
  if (view.spread.has(box.of)) view.spread.delete(box.of); else view.spread.add(box.of);
  lay_out(view);
  view.open = new Set([...view.open].filter((id) => view.boxes.has(id)));
  state.chosen = [...view.boxes.values()].find((b) => b.of === box.of).id;
  for (const around of ancestors(view, view.boxes.get(state.chosen).parent)) view.open.add(around);
  show();
}
