// Changes classes of the same source: prototypes, statics, fields, accessors.
// output: ["mine","mine",1,["constructor","say"],0]
class Base {
  static made = 0;
  field = "mine";
  constructor() { Base.made++; }
  say() { return "mine"; }
}
class Derived extends Base {}
function process() {
  const made = new Derived();
  const seen = [made.say(), made.field, Base.made, Object.getOwnPropertyNames(Base.prototype),
    Object.keys(Derived).length];
  Base.prototype.say = () => "left";
  Base.prototype.left = 1;
  Derived.left = 1;
  Object.setPrototypeOf(Derived, class { static made = 41; });
  return seen;
}
