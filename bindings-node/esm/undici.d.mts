export * from '../dist/undici.js';
