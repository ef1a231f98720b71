// A stringify and a parse of one's own.
// expect: succeeded
// input: {"a":1}
// output: {"a":1}
JSON.parse = () => "forged";
JSON.stringify = () => '"forged"';
const process = (data) => data;
