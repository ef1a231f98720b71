// Names that look alike, and letters beyond 16 bits.
// expect: succeeded
// output: [1,2,3]
const ℮ = 1, е = 2, 𠮷 = 3;
function pr\u006fcess() { return [℮, е, 𠮷]; }
