// What a person of sixty meets on this page: small type, small targets, weak contrast, fields
// without a label. Returns one line for each.
const least = document.body.classList.contains("villager") ? 60 : 44;
const found = [];
const name = (e) => e.tagName.toLowerCase() + (e.id ? "#" + e.id : "") + "." + e.className + " " +
  (e.innerText ?? "").trim().slice(0, 20);
const isShown = (e) => e.checkVisibility({ visibilityProperty: true }) && !e.closest(".skip, .unseen");

const luminance = (rgb) => {
  const [r, g, b] = rgb.map((c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const colour = (text) => {
  const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number);
  return { rgb: [r, g, b], a };
};
const ground = (e) => {
  const layers = [];
  for (; e; e = e.parentElement) {
    const layer = colour(getComputedStyle(e).backgroundColor);
    layers.push(layer);
    if (layer.a === 1) break;
  }
  let rgb = [255, 255, 255];
  for (const layer of layers.reverse()) rgb = rgb.map((c, i) => c * (1 - layer.a) + layer.rgb[i] * layer.a);
  return rgb;
};

const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node; (node = walker.nextNode());) {
  const e = node.parentElement;
  if (!node.data.trim() || !isShown(e) || ["SCRIPT", "STYLE", "OPTION"].includes(e.tagName)) continue;
  const style = getComputedStyle(e);
  if (parseFloat(style.fontSize) < 18) found.push(`${style.fontSize} type: ${name(e)}`);
  const [a, b] = [luminance(colour(style.color).rgb), luminance(ground(e))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) found.push(`contrast ${ratio.toFixed(2)}: ${name(e)}`);
}
for (const e of document.querySelectorAll("a, button, input, select, textarea, summary")) {
  if (e.type === "hidden" || !isShown(e)) continue;
  const box = (e.closest("label.choice") ?? e).getBoundingClientRect();
  if (box.width < least || box.height < least) {
    found.push(`target ${box.width.toFixed(0)}×${box.height.toFixed(0)}: ${name(e)}`);
  }
  const isField = ["INPUT", "SELECT", "TEXTAREA"].includes(e.tagName);
  if (isField && e.labels.length === 0) found.push(`no label: ${e.name}`);
}
if (document.documentElement.scrollWidth > document.documentElement.clientWidth) {
  found.push(`wider than the window: ${document.documentElement.scrollWidth}`);
}
return found;
