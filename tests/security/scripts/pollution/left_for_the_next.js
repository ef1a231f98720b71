// Leaves something wherever something can be left.
// expect: succeeded
// output: 1
var left = 1;
globalThis.left = 1;
Object.prototype.left = Array.prototype.left = Function.prototype.left = 1;
Symbol.for("left").description;
Math.random = () => 0.5;
Date.now = () => 0;
Intl.DateTimeFormat.prototype.format = Intl.NumberFormat.prototype.format = () => "left";
Temporal.Now.instant = () => "left";
JSON.stringify = JSON.parse = () => "left";
const process = () => left;
