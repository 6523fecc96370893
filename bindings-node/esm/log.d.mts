export * from '../dist/log.js';
