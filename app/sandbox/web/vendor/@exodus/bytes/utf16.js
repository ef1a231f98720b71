export * from './utf16.native.js'
