// Format values for the console, and implement its methods that do more than write a line.
//
// Plain data is shown as JSON; what JSON would hide (Map, Set, NaN, undefined, a class's name) is
// shown as itself. Nothing that user code can replace is used here: see harness.js, whose
// intrinsics come as `h`. Getters, proxies and `toJSON` are user code, and may throw.
((h) => {
  const { apply, charCodeAt, clip, defineProperty, getPrototypeOf, isObject, readText, slice } = h;
  const { uncurry } = h;
  const MAX_DEPTH = 12;
  const MAX_NAME = 256;
  const { keys } = Object;
  const { isArray } = Array;
  const { isView } = ArrayBuffer;
  const { is } = Object;
  const ObjectPrototype = Object.prototype;
  const getter = (prototype, name) =>
    uncurry(h.getOwnPropertyDescriptor(prototype, name).get);
  const mapSize = getter(Map.prototype, "size");
  const setSize = getter(Set.prototype, "size");
  const mapForEach = uncurry(Map.prototype.forEach);
  const setForEach = uncurry(Set.prototype.forEach);
  const typedLength = getter(getPrototypeOf(Uint8Array.prototype), "length");
  const typedName = getter(getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag);
  const bufferLength = getter(ArrayBuffer.prototype, "byteLength");
  const regExpToString = uncurry(RegExp.prototype.toString);
  const getTime = uncurry(Date.prototype.getTime);
  const functionToString = uncurry(h.functionToString);

  // ---- one value

  // The characters left in the line: members that would not be visible are not visited.
  let room = 0;

  const took = (text) => {
    room -= text.length;
    return text;
  };

  const quote = (text) => took(h.stringify(clip(text, room > 0 ? room : 0)));

  const inside = (trail, value) => {
    for (let at = trail; at !== null; at = at.up) if (at.value === value) return true;
    return false;
  };

  const inspect = (value, trail, depth) => {
    if (room <= 0) return "";
    if (typeof value === "string") return quote(value);
    if (!isObject(value)) return took(primitive(value));
    if (inside(trail, value)) return took("[Circular]");
    if (typeof value === "function") return took(functionName(value));
    if (depth > MAX_DEPTH) return took(isArray(value) ? "[Array]" : "[Object]");
    const here = { __proto__: null, value, up: trail };
    if (h.isError(value)) return took(depth === 0 ? withCause(value, here) : `[${oneLine(value)}]`);
    if (isArray(value)) return list("", value, value.length, here, depth);
    return special(value, here, depth) ?? object(value, here, depth);
  };

  const primitive = (value) => {
    if (typeof value === "bigint") return `${value}n`;
    if (is(value, -0)) return "-0";
    return h.toText(value);
  };

  const functionName = (value) => {
    const isClass = h.startsWith(functionToString(value), "class");
    const name = readText(value, "name", MAX_NAME);
    if (name === undefined || name === "") return isClass ? "[class]" : "[Function]";
    return isClass ? `[class ${name}]` : `[Function: ${name}]`;
  };

  const oneLine = (error) => {
    try {
      return h.errorToString(error);
    } catch {
      return "Error";
    }
  };

  const withCause = (error, here) => {
    const stack = readText(error, "stack", h.maxText);
    const text = stack === undefined || stack === "" ? oneLine(error) : stack;
    const cause = h.getOwnPropertyDescriptor(error, "cause");
    if (cause === undefined) return text;
    return `${text}\n  [cause]: ${inspect(cause.value, here, isObject(cause.value) ? 0 : 1)}`;
  };

  const list = (prefix, value, length, here, depth) => {
    let text = took(`${prefix}[`);
    for (let i = 0; i < length && room > 0; i++) {
      if (i > 0) text += took(",");
      text += inspect(value[i], here, depth + 1);
    }
    return `${text}]`;
  };

  const entries = (prefix, each, here) => {
    let text = took(`${prefix} {`);
    let first = true;
    each((one) => {
      if (room <= 0) return;
      if (!first) text += took(", ");
      first = false;
      text += one();
    });
    return `${text}}`;
  };

  // Objects without members, or with others than their properties. A tag can be wrong: for an
  // object that only claims to be a Map the getter throws, and it is shown as a plain object.
  const special = (value, here, depth) => {
    const tag = h.objectToString(value);
    const next = depth + 1;
    try {
      if (isView(value)) {
        const name = typedName(value);
        if (name === undefined) return took("DataView {}");
        const length = typedLength(value);
        return list(`${name}(${length}) `, value, length, here, depth);
      }
      switch (tag) {
        case "[object Map]":
          return entries(`Map(${mapSize(value)})`, (add) => {
            mapForEach(value, (held, key) =>
              add(() => `${inspect(key, here, next)}${took(" => ")}${inspect(held, here, next)}`));
          }, here);
        case "[object Set]":
          return entries(`Set(${setSize(value)})`, (add) => {
            setForEach(value, (held) => add(() => inspect(held, here, next)));
          }, here);
        case "[object RegExp]":
          return took(regExpToString(value));
        case "[object ArrayBuffer]":
          return took(`ArrayBuffer(${bufferLength(value)}) {}`);
        case "[object Date]":
          return is(getTime(value), NaN) ? took("Invalid Date") : undefined;
        case "[object Promise]":
        case "[object WeakMap]":
        case "[object WeakSet]":
          return took(`${slice(tag, 8, tag.length - 1)} {}`);
        case "[object Generator]":
        case "[object AsyncGenerator]":
          return took(`Object [${slice(tag, 8, tag.length - 1)}] {}`);
        default:
          return undefined;
      }
    } catch {
      return undefined;
    }
  };

  const object = (value, here, depth) => {
    if (typeof value.toJSON === "function") {
      const json = h.stringify(value);
      return took(json === undefined ? h.objectToString(value) : json);
    }
    const prototype = getPrototypeOf(value);
    let name;
    if (prototype !== null && prototype !== ObjectPrototype) {
      const maker = prototype.constructor;
      name = typeof maker === "function" ? readText(maker, "name", MAX_NAME) : undefined;
    }
    let text = took(name === undefined || name === "" || name === "Object" ? "{" : `${name} {`);
    const names = keys(value);
    for (let i = 0; i < names.length && room > 0; i++) {
      if (i > 0) text += took(",");
      text += `${quote(names[i])}${took(":")}${inspect(value[names[i]], here, depth + 1)}`;
    }
    return `${text}}`;
  };

  const inspected = (value) => {
    room = h.lineUnits + 1;
    try {
      return inspect(value, null, 0);
    } catch {
      return fallback(value);
    }
  };

  const fallback = (value) => {
    try {
      return h.objectToString(value);
    } catch {
      return "[object]";
    }
  };

  const show = (value) => (typeof value === "string" ? value : inspected(value));

  // ---- one line

  const D = 0x64, I = 0x69, F = 0x66, S = 0x73, O = 0x6f, BIG_O = 0x4f, J = 0x6a, C = 0x63;
  const PERCENT = 0x25;
  const { parseInt, parseFloat, Number } = globalThis;

  const number = (value, convert) => {
    if (typeof value === "symbol") return "NaN";
    if (typeof value === "bigint") return `${value}n`;
    return primitive(convert(value));
  };

  const converted = (code, value) => {
    try {
      switch (code) {
        case S: return isObject(value) ? inspected(value) : primitive(value);
        case D: return isObject(value) ? "NaN" : number(value, Number);
        case I: return isObject(value) ? "NaN" : number(value, parseInt);
        case F: return number(value, parseFloat);
        case J: return `${h.stringify(value)}`;
        case C: return "";
        default: return inspected(value);
      }
    } catch {
      return code === J ? "[Circular]" : fallback(value);
    }
  };

  const takesValue = (code) => code === S || code === D || code === I || code === F
    || code === O || code === BIG_O || code === J || code === C;

  // Returns the text, up to a line's length, with the indentation of the open groups.
  const format = (args) => {
    let text = "";
    let next = 0;
    if (args.length > 1 && typeof args[0] === "string") {
      const pattern = args[0];
      const length = pattern.length < h.lineUnits + 1 ? pattern.length : h.lineUnits + 1;
      let from = 0;
      next = 1;
      for (let i = 0; i + 1 < length && text.length <= h.lineUnits; i++) {
        if (charCodeAt(pattern, i) !== PERCENT) continue;
        const code = charCodeAt(pattern, i + 1);
        if (code === PERCENT) {
          text += slice(pattern, from, i + 1);
        } else if (takesValue(code) && next < args.length) {
          text += slice(pattern, from, i) + clip(converted(code, args[next++]), h.lineUnits + 1);
        } else continue;
        from = i + 2;
        i++;
      }
      text += slice(pattern, from, length);
    }
    for (let i = next; i < args.length && text.length <= h.lineUnits; i++) {
      text += (i === 0 ? "" : " ") + clip(show(args[i]), h.lineUnits + 1);
    }
    return indentation === "" ? text : indented(text);
  };

  let indentation = "";

  const indented = (text) => {
    let result = indentation;
    let from = 0;
    const length = text.length < h.lineUnits + 1 ? text.length : h.lineUnits + 1;
    for (let i = 0; i < length; i++) {
      if (charCodeAt(text, i) !== 10) continue;
      result += slice(text, from, i + 1) + indentation;
      from = i + 1;
    }
    return result + slice(text, from, length);
  };

  // ---- methods beside those that write a line

  const counts = { __proto__: null };
  const starts = { __proto__: null };
  const labelOf = (args) =>
    args.length === 0 || args[0] === undefined ? "default" : clip(`${args[0]}`, MAX_NAME);
  const rest = (args, from, first) => {
    const more = first === undefined ? [] : [first];
    for (let i = from; i < args.length; i++) append(more, args[i]);
    return more;
  };
  const append = (to, value) => defineProperty(to, to.length, {
    __proto__: null, value, writable: true, enumerable: true, configurable: true,
  });

  const methods = (write) => {
    const log = (level, ...args) => write(level, args);
    const elapsedOf = (label) => `${label}: ${h.elapsed() - starts[label]}ms`;
    return {
      __proto__: null,
      assert: (args) => {
        if (args.length > 0 && args[0]) return;
        if (args.length < 2) log("error", "Assertion failed");
        else if (typeof args[1] === "string") {
          write("error", rest(args, 2, `Assertion failed: ${args[1]}`));
        } else write("error", rest(args, 1, "Assertion failed:"));
      },
      count: (args) => {
        const label = labelOf(args);
        counts[label] = (counts[label] ?? 0) + 1;
        log("log", `${label}: ${counts[label]}`);
      },
      countReset: (args) => {
        const label = labelOf(args);
        if (counts[label] === undefined) log("warn", `Count for '${label}' does not exist`);
        else counts[label] = 0;
      },
      time: (args) => {
        const label = labelOf(args);
        if (starts[label] !== undefined) log("warn", `Timer '${label}' already exists`);
        else starts[label] = h.elapsed();
      },
      timeLog: (args) => {
        const label = labelOf(args);
        if (starts[label] === undefined) log("warn", `Timer '${label}' does not exist`);
        else write("log", rest(args, 1, elapsedOf(label)));
      },
      timeEnd: (args) => {
        const label = labelOf(args);
        if (starts[label] === undefined) log("warn", `Timer '${label}' does not exist`);
        else {
          log("log", elapsedOf(label));
          starts[label] = undefined;
        }
      },
      group: (args) => {
        if (args.length > 0) write("log", args);
        if (indentation.length < 64) indentation += "  ";
      },
      groupEnd: () => {
        indentation = slice(indentation, 2);
      },
      dir: (args) => {
        if (args.length > 0) log("log", typeof args[0] === "string" ? `'${args[0]}'` : args[0]);
      },
      table: (args) => {
        const text = args.length > 0 && isObject(args[0]) ? table(args[0], args[1]) : undefined;
        if (text === undefined) write("log", args);
        else log("log", text);
      },
    };
  };

  // ---- tables

  // Escaped: one character beyond Latin-1 would double the memory of the source in each isolate.

  const MAX_ROWS = 200; // more than fit in a line
  const BORDERS = 3; // the characters of a cell besides its text

  // `rows` and `wanted` come from user code; returns undefined if they make no table.
  const table = (rows, wanted) => {
    try {
      return drawn(rows, wanted);
    } catch {
      return undefined;
    }
  };

  const drawn = (rows, wanted) => {
    const names = keys(rows);
    const columns = [];
    const lines = [];
    const known = { __proto__: null };
    let values = false;
    // Cells beyond a line's length would not be visible and are not visited.
    let length = 0;
    const fits = () => length + BORDERS * columns.length * lines.length <= h.lineUnits;
    const count = (text) => {
      length += text.length + BORDERS;
      return text;
    };
    const addColumn = (name) => {
      if (known[name] !== undefined) return;
      known[name] = columns.length;
      append(columns, count(clip(name, h.lineUnits)));
    };
    if (isArray(wanted)) {
      for (let i = 0; i < wanted.length && fits(); i++) addColumn(`${wanted[i]}`);
    }
    for (let i = 0; i < names.length && i < MAX_ROWS && fits(); i++) {
      const index = count(clip(names[i], h.lineUnits));
      const row = rows[names[i]];
      const cells = { __proto__: null };
      if (isObject(row) && typeof row !== "function") {
        const members = keys(row);
        for (let j = 0; j < members.length && j < MAX_ROWS && fits(); j++) {
          if (!isArray(wanted)) addColumn(members[j]);
          const column = known[members[j]];
          if (column !== undefined) cells[column] = count(inspected(row[members[j]]));
        }
        append(lines, { __proto__: null, index, cells, value: "" });
      } else {
        values = true;
        append(lines, { __proto__: null, index, cells, value: count(inspected(row)) });
      }
    }
    return draw(columns, lines, values);
  };

  const draw = (columns, lines, values) => {
    const grid = [];
    const add = (title, of) => {
      const column = [title];
      let width = title.length;
      for (let i = 0; i < lines.length; i++) {
        const text = of(lines[i]);
        if (text.length > width) width = text.length;
        append(column, text);
      }
      append(grid, { __proto__: null, column, width });
    };
    add("(index)", (line) => line.index);
    for (let i = 0; i < columns.length; i++) add(columns[i], (line) => line.cells[i] ?? "");
    if (values) add("Values", (line) => line.value);
    let text = border(grid, "\u250c", "\u252c", "\u2510");
    for (let row = 0; row <= lines.length && text.length <= h.lineUnits; row++) {
      text += "\n\u2502";
      for (let i = 0; i < grid.length; i++) {
        const cell = grid[i].column[row];
        text += ` ${cell}${h.repeat(" ", grid[i].width - cell.length)} \u2502`;
      }
      if (row === 0) text += `\n${border(grid, "\u251c", "\u253c", "\u2524")}`;
    }
    return `${text}\n${border(grid, "\u2514", "\u2534", "\u2518")}`;
  };

  const border = (grid, left, middle, right) => {
    let text = left;
    for (let i = 0; i < grid.length; i++) {
      text += (i === 0 ? "" : middle) + h.repeat("\u2500", grid[i].width + 2);
    }
    return text + right;
  };

  return { __proto__: null, format, methods, show };
})
