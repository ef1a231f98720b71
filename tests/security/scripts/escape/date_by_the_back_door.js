// The clock behind an imitation: its prototype, its target, its own methods.
// expect: succeeded
// output: [1700000000000,1700000000000,1700000000000,"Date",7,true]
function process() {
  const bound = Date.bind(null);
  const made = Reflect.construct(Object, [], Date);
  return [
    new bound().getTime(),
    new made.constructor().getTime(),
    Reflect.construct(Date, [], class extends Date {}).getTime(),
    Date.name, Date.length, Date.prototype.constructor === Date,
  ];
}
