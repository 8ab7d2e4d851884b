/** What a machine says that has no GPU; the rest needs an adapter, see tests/gpu. */
import { silent } from '../../src/base/progress.js';
import { noGpuInSight, searchAdapter } from '../../src/engine/adapter.js';
import { openDevice } from '../../src/engine/index.js';

const onLinux = process.platform === 'linux' ? test : test.skip;
const saved = process.env.VK_ICD_FILENAMES;
beforeEach(() => {
  process.env.VK_ICD_FILENAMES = '/nowhere/icd.json'; // in place of the machine's drivers
});
afterEach(() => {
  if (saved === undefined) delete process.env.VK_ICD_FILENAMES;
  else process.env.VK_ICD_FILENAMES = saved;
});

onLinux('where no driver answers the search says why', async () => {
  expect(noGpuInSight()).toBeUndefined();
  expect(await searchAdapter()).toEqual({ none: expect.stringMatching(/^the driver says: \w/) });
});

onLinux('auto then is the CPU, and the note says why', async () => {
  const notes: string[] = [];
  const device = await openDevice({ reporter: { ...silent, heading: (line) => notes.push(line) } });
  expect(device.name).toBe('cpu');
  expect(notes).toEqual([expect.stringMatching(/^Device: ONNX Runtime .*, CPU, .*; the driver says: .*\.$/)]);
});

onLinux('webgpu then is a mistake of the user', async () => {
  await expect(openDevice({ device: 'webgpu', reporter: silent })).rejects.toMatchObject({
    name: 'UserError',
    message: expect.stringMatching(
      /^Expected a GPU with a Vulkan driver for --device webgpu but received none: the driver says: .*\. Install the driver, or leave --device out for the CPU\.$/,
    ),
  });
});
