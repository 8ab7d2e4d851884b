/** Importing this registers every kernel of the tracer. */
import './attention.js';
import './composites.js';
import './conv.js';
import './decoding.js';
import './elementwise.js';
import './int8-products.js';
import './matmul.js';
import './pool.js';
import './reduce.js';
import './shape.js';
