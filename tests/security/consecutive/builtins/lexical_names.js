// Declares let, const and class at the top level, under the names of the second script.
// output: [1,"mine",0]
// unseen: the check runs the first in a scope of its own
let counter = 41;
const name = "left";
class Account { static balance = 100; }
function process() { counter++; return [counter, name, Account.balance]; }
// ---- second
var undeclared = typeof secret;
let counter = 0;
const name = "mine";
class Account { static balance = 0; }
function process() { counter++; return [counter, name, Account.balance]; }
