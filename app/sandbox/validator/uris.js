// Resolve references against a base (RFC 3986, section 5.2).

import { indexOf, lastIndexOf, matches, slice, startsWith } from "./primordials.js";

const PARTS = /^(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#([^]*))?$/;

const parse = (uri) => {
  const parts = matches(PARTS, uri);
  return { scheme: parts[1], authority: parts[2], path: parts[3], query: parts[4], fragment: parts[5] };
};

export const resolveUri = (base, reference) => {
  const ref = parse(reference);
  if (ref.scheme !== undefined) return write(ref.scheme, ref.authority, cleanPath(ref.path), ref);
  const from = parse(base);
  if (ref.authority !== undefined) {
    return write(from.scheme, ref.authority, cleanPath(ref.path), ref);
  }
  if (ref.path === "") {
    const query = ref.query === undefined ? from.query : ref.query;
    return write(from.scheme, from.authority, from.path, { query, fragment: ref.fragment });
  }
  const path = startsWith(ref.path, "/") ? ref.path : mergePaths(from, ref.path);
  return write(from.scheme, from.authority, cleanPath(path), ref);
};

// The part before the fragment, and the fragment without its sign, or "".
export const splitFragment = (uri) => {
  const at = indexOf(uri, "#");
  if (at < 0) return { uri, fragment: "" };
  return { uri: slice(uri, 0, at), fragment: slice(uri, at + 1) };
};

const write = (scheme, authority, path, { query, fragment }) =>
  (scheme === undefined ? "" : `${scheme}:`)
  + (authority === undefined ? "" : `//${authority}`)
  + path
  + (query === undefined ? "" : `?${query}`)
  + (fragment === undefined ? "" : `#${fragment}`);

const mergePaths = (from, path) => {
  if (from.authority !== undefined && from.path === "") return `/${path}`;
  return slice(from.path, 0, lastIndexOf(from.path, "/") + 1) + path;
};

const cleanPath = (path) => {
  if (indexOf(path, "/.") < 0 && !startsWith(path, ".")) return path;
  let input = path;
  let output = "";
  while (input !== "") {
    if (startsWith(input, "../")) input = slice(input, 3);
    else if (startsWith(input, "./")) input = slice(input, 2);
    else if (startsWith(input, "/./")) input = slice(input, 2);
    else if (input === "/.") input = "/";
    else if (startsWith(input, "/../") || input === "/..") {
      input = `/${slice(input, 4)}`;
      output = slice(output, 0, lastIndexOf(output, "/") < 0 ? 0 : lastIndexOf(output, "/"));
    } else if (input === "." || input === "..") input = "";
    else {
      let end = indexOf(input, "/", 1);
      if (end < 0) end = input.length;
      output += slice(input, 0, end);
      input = slice(input, end);
    }
  }
  return output;
};
