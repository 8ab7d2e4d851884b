/** The report as a page of Markdown. */
import { works } from './works.mjs';

export function page({ parts, ...machine }) {
  const part = (name) => parts.find((one) => one.name === name);
  const gpu = part('devices').result;
  const ms = (name) => part(name)?.result.ms;
  const rows = works.map((work) => {
    const [webgpu, peer] = [ms(`${work} webgpu f32`), ms(`${work} peer f32`)];
    const busy = part(`${work} profile`)?.result.gpu;
    const launches = part(`${work} webgpu f32`)?.result.launches;
    return [
      work,
      ...['webgpu f32', 'webgpu f16', 'cpu f32', 'peer f32', 'peer tf32', 'peer bf16'].map((which) =>
        number(ms(`${work} ${which}`)),
      ),
      webgpu && peer ? (webgpu / peer).toFixed(2) : '–',
      launches ?? '–',
      busy ? `${number(busy.ms)}, ${Math.round(busy.launches)}` : '–',
    ];
  });
  const agreements = parts
    .filter(({ name, result }) => name.startsWith('agreement') && Object.keys(result).length > 0)
    .map(({ name, result: { stage1, tokenize, prior, sample } }) => [
      name.split(' ')[1],
      ...[stage1, prior].flatMap((stage) => ['webgpu', 'f16'].map((which) => lossDifference(stage, which))),
      share(tokenize),
      share(sample),
    ]);
  const others = parts.filter(({ status }) => status !== 'done');
  return `# GPU report

${[
  `vqgen ${machine.vqgen}, Node ${machine.node}, ${machine.system}, ${machine.date}, ${Math.round(machine.seconds)} s${machine.quick ? ', tiny sizes (--quick)' : ', size M'}.`,
  `GPU: ${[gpu.nvidia, ...(gpu.devices ?? []).map(({ device, description, gflops }) => `${device}: ${description}, ${number(gflops)} GFLOP/s`)].filter(Boolean).join('; ')}; auto takes ${gpu.auto ?? '–'}.`,
  `CPU: ${machine.cpu}, ${machine.threads} threads.`,
].join('\n')}

${table(
  [
    'work, ms',
    ...['webgpu f32', 'webgpu f16', 'CPU', 'PyTorch f32', 'PyTorch tf32', 'PyTorch bf16'],
    ...['webgpu / PyTorch f32', 'operators that launch', 'GPU busy ms, launches (profiled)'],
  ],
  rows,
)}

Largest relative difference of a training step's loss from the CPU's; codes that are the same.

${table(['config', 'stage 1', 'stage 1 f16', 'prior', 'prior f16', 'tokens', 'sampled codes'], agreements)}
${
  others.length > 0
    ? `\nNot done:\n\n${table(
        ['part', 'status', 'why'],
        others.map(({ name, status, error = '' }) => [
          name,
          status,
          error.split('\n')[0].slice(0, 200).replaceAll('|', '\\|'),
        ]),
      )}`
    : ''
}`;
}

const number = (value) => (typeof value === 'number' ? `${Number(value.toPrecision(4))}` : '–');

function lossDifference(stage, which) {
  const difference = stage?.difference?.[which]?.loss;
  if (difference !== undefined) return difference.toExponential(1);
  return stage?.[which]?.error ? 'failed' : '–';
}

const share = (found) => (found?.codes ? `${found.equal} of ${found.codes}` : '–');

const table = (head, rows) =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |\n`).join('');
