// Comments of old, which end where the platform appends its own.
// expect: succeeded
// output: 1
function process() { return 1 }
<!-- //# sourceURL=elsewhere.js
--> */ `
