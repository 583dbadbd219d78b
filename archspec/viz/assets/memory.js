// Memory: each buffer a bar from birth to death over the bytes of the arena.

function svg_element(tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function memory_picture() {
  const { arena } = drawing, count = Math.max(arena.items.length, 1);
  const width = Math.max(at("picture").clientWidth - 32, 300), left = 70, top = 24, floor = 40;
  const height = Math.max(Math.min(at("picture").clientHeight - 32, window.innerHeight - 140), 320);
  const x = (item) => left + (item * (width - left - 10)) / count;
  const y = (bytes) => height - floor - (bytes * (height - floor - top)) / Math.max(arena.total, 1);
  const svg = svg_element("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Memory" });
  for (let k = 0; k <= 4; k++) {
    svg.append(svg_element("line", { class: "axis", x1: left, x2: width - 10, y1: y((arena.total * k) / 4), y2: y((arena.total * k) / 4) }));
    svg.append(svg_element("text", { x: left - 6, y: y((arena.total * k) / 4) + 4, "text-anchor": "end", "font-size": 11 }, short(Math.round((arena.total * k) / 4)) + "B"));
  }
  arena.bars.forEach((bar, k) => svg.append(memory_bar(bar, k, x, y)));
  svg.append(svg_element("text", { x: left, y: height - 12, "font-size": 11 }, width < 500 ? `${count} kernels and loops →` : `${count} kernels and loops, in the order in which they run →`));
  svg.append(...peak(arena, x, height - floor, width));
  return svg;
}

function memory_bar(bar, number, x, y) {
  const place = { x: x(bar.first), y: y(bar.offset + bar.nbytes), width: Math.max(x(bar.last + 1) - x(bar.first), 1), height: Math.max(y(bar.offset) - y(bar.offset + bar.nbytes), 1) };
  const made = svg_element("rect", { ...place, class: "bar " + (bar.role === "backward" ? "backward" : "forward"), id: "g:" + number, tabindex: "0" });
  made.append(svg_element("title", {}, `${bar.label}: ${bar.nbytes.toLocaleString("en")} bytes`));
  made.addEventListener("click", () => choose(number));
  made.addEventListener("keydown", (event) => { if (event.key === "Enter") choose(number); });
  return made;
}

function peak(arena, x, floor, width) {
  const alive = arena.items.map((_, k) => arena.bars.reduce((sum, b) => sum + (b.first <= k && k <= b.last ? b.nbytes : 0), 0));
  const most = Math.max(...alive, 0), item = Math.max(alive.indexOf(most), 0), middle = (x(item) + x(item + 1)) / 2;
  const text = `peak: ${short(most)}B alive at ${arena.items[item] || ""}`, room = 7.5 * text.length; // of letters of 12
  return [
    svg_element("line", { class: "peak", x1: middle, x2: middle, y1: 16, y2: floor }),
    svg_element("text", { class: "peaktext", x: Math.max(Math.min(middle + 5, width - room), 0), y: 14, "font-size": 12 }, text),
  ];
}

function bar_details(bar) {
  const { items } = drawing.arena;
  const life = `${bar.first} (${items[bar.first]}) to ${bar.last} (${items[bar.last]})`;
  return [element("h2", bar.label), listing([["bytes", bar.nbytes.toLocaleString("en")], ["offset", bar.offset.toLocaleString("en")], ["alive", life], ["made in", bar.role]])];
}
