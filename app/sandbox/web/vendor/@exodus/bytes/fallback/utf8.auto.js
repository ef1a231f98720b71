export { decodeFast, encode } from './utf8.js'
