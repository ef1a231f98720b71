// Return the texts of the page whose contrast with their background is below `minimum`, by the
// colours that the browser computed, blending translucent ones.
(minimum) => {
  const parse = (text) => {
    const numbers = text.match(/[\d.]+/g).map(Number);
    return numbers.length === 3 ? [...numbers, 1] : numbers;
  };
  const over = (top, below) => {
    const a = top[3] + below[3] * (1 - top[3]);
    if (!a) return [0, 0, 0, 0];
    return [0, 1, 2].map((i) => (top[i] * top[3] + below[i] * below[3] * (1 - top[3])) / a).concat(a);
  };
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const background = (element) => {
    let colour = [0, 0, 0, 0];
    for (let e = element; e; e = e.parentElement) {
      colour = over(colour, parse(getComputedStyle(e).backgroundColor));
      if (colour[3] > 0.999) return colour;
    }
    return over(colour, [255, 255, 255, 1]);
  };
  const found = {};
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const check = (element, text, colourText) => {
    const box = element.getBoundingClientRect();
    if (!element.checkVisibility({ opacityProperty: true, visibilityProperty: true }) || !box.width || !box.height) return;
    const behind = background(element);
    let colour = over(parse(colourText ?? getComputedStyle(element).color), behind);
    let opacity = 1;
    for (let e = element; e; e = e.parentElement) opacity *= +getComputedStyle(e).opacity;
    colour = over([...colour.slice(0, 3), opacity], behind);
    const [a, b] = [light(colour), light(behind)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < minimum && !element.closest(":disabled")) {
      const key = element.tagName + "." + element.className + " < " + element.parentElement?.className + " < " + element.parentElement?.parentElement?.className;
      found[key] ??= [ratio.toFixed(2), colour.map(Math.round).join(), behind.map(Math.round).join(), text.slice(0, 40)];
    }
  };
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    if (text && !["SCRIPT", "STYLE", "NOSCRIPT", "OPTION"].includes(walker.currentNode.parentElement.tagName)) check(walker.currentNode.parentElement, text);
  }
  for (const input of document.querySelectorAll("input, textarea, select")) {
    check(input, "value");
    if (input.placeholder && !input.value) check(input, "placeholder " + input.placeholder, getComputedStyle(input, "::placeholder").color);
  }
  return found;
}
