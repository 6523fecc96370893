// The one implementation is CommonJS; these are its names for import.
export * from '../dist/log.js';
