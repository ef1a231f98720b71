// Halves of characters are written as escapes.
// expect: succeeded
// output: ["\ud800","\udfff","😀","\ud83dx"]
function process() {
  return ["\ud800", "\udfff", "\ud83d\ude00", "\ud83dx"];
}
