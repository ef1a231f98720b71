// `process` cannot be called without `new`.
// expect: threw
// error: TypeError: Class constructor process cannot be invoked without 'new'
class process {}
