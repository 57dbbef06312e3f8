// Markdown to nodes. Text never becomes markup: nodes are made one by one, and links lead to http and https only.
function element(name, ...children) {
  const node = document.createElement(name);
  node.append(...children);
  return node;
}

function inline(text) {
  const nodes = [];
  const pattern = /(`+)([\s\S]+?)\1|\*\*([^*\n]+)\*\*|__([^_\n]+)__|\*([^*\s][^*\n]*)\*|\[([^\]\n]+)\]\((https?:[^)\s]+)\)/;
  let rest = text;
  for (let found; (found = pattern.exec(rest)); rest = rest.slice(found.index + found[0].length)) {
    nodes.push(rest.slice(0, found.index));
    const [, , code, bold, bold2, italic, label, address] = found;
    if (code !== undefined) nodes.push(element("code", code));
    else if (bold || bold2) nodes.push(element("strong", ...inline(bold || bold2)));
    else if (italic) nodes.push(element("em", ...inline(italic)));
    else {
      const link = element("a", label);
      link.href = address;
      link.rel = "noreferrer noopener";
      link.target = "_blank";
      nodes.push(link);
    }
  }
  nodes.push(rest);
  return nodes;
}

function codeBlock(text) {
  const copy = element("button", "Copy");
  copy.type = "button";
  copy.setAttribute("aria-label", "Copy the code");
  copy.addEventListener("click", () => copyText(text, copy));
  return element("pre", element("code", text), copy);
}

function copyText(text, button) {
  const told = (word) => {
    const before = button.textContent;
    button.textContent = word;
    setTimeout(() => (button.textContent = before), 1200);
  };
  navigator.clipboard?.writeText(text).then(() => told("Copied"), () => told("Not allowed"));
}

// One line of a list: its marker and its text.
const listItem = /^\s*(?:([-*+])|(\d+)[.)])\s+(.*)$/;

const indent = (line) => line.length - line.trimStart().length;

// Reads the list that begins at line `i`, with the lists in it, which are indented further. Returns it and the line after it.
function readList(lines, i, depth) {
  const [first, level] = [listItem.exec(lines[i]), indent(lines[i])];
  const list = element(first[1] ? "ul" : "ol");
  if (first[2]) list.start = Number(first[2]);
  for (let found; i < lines.length && (found = listItem.exec(lines[i])) && indent(lines[i]) >= level; ) {
    if (list.lastChild && indent(lines[i]) > level && depth < 8) {
      const [inner, next] = readList(lines, i, depth + 1);
      list.lastChild.append(inner);
      i = next;
    } else {
      list.append(element("li", ...inline(found[3])));
      i++;
    }
    // An empty line between two items.
    if (lines[i] !== undefined && !lines[i].trim() && listItem.test(lines[i + 1] || "") && indent(lines[i + 1]) >= level) i++;
  }
  return [list, i];
}

function markdown(text, depth = 0) {
  const nodes = [];
  const lines = text.split("\n");
  let paragraph = [];
  const flush = () => {
    if (paragraph.length) nodes.push(element("p", ...inline(paragraph.join("\n"))));
    paragraph = [];
  };
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i];
    const fence = /^\s*(```+|~~~+)/.exec(line);
    if (fence) {
      flush();
      const code = [];
      while (++i < lines.length && !lines[i].trim().startsWith(fence[1])) code.push(lines[i]);
      nodes.push(codeBlock(code.join("\n")));
      continue;
    }
    const heading = /^(#{1,6})\s+(.*)$/.exec(line);
    if (heading) {
      flush();
      // The page has h1 and h2 of its own.
      nodes.push(element("h" + Math.min(6, heading[1].length + 2), ...inline(heading[2])));
      continue;
    }
    if (/^\s*([-*_])(\s*\1){2,}\s*$/.test(line)) {
      flush();
      nodes.push(element("hr"));
      continue;
    }
    if (listItem.test(line)) {
      flush();
      const [list, next] = readList(lines, i, 0);
      i = next - 1;
      nodes.push(list);
      continue;
    }
    if (/^\s*>/.test(line) && depth < 8) {
      flush();
      const quoted = [];
      for (; i < lines.length && /^\s*>/.test(lines[i]); i++) quoted.push(lines[i].replace(/^\s*> ?/, ""));
      i--;
      nodes.push(element("blockquote", ...markdown(quoted.join("\n"), depth + 1)));
      continue;
    }
    if (/^\s*\|.*\|\s*$/.test(line) && /^\s*\|[\s:|-]+\|\s*$/.test(lines[i + 1] || "")) {
      flush();
      const cells = (row) => row.trim().slice(1, -1).split("|").map((cell) => cell.trim());
      const table = element("table", element("tr", ...cells(line).map((cell) => element("th", ...inline(cell)))));
      for (i += 2; i < lines.length && /^\s*\|.*\|\s*$/.test(lines[i]); i++)
        table.append(element("tr", ...cells(lines[i]).map((cell) => element("td", ...inline(cell)))));
      i--;
      nodes.push(table);
      continue;
    }
    if (line.trim()) paragraph.push(line);
    else flush();
  }
  flush();
  return nodes;
}
