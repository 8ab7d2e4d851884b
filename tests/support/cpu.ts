/** Import for its effect: TF.js's `cpu` backend, the oracle of the tests, without its banner. */
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';

tf.env().set('PROD', true);
