/**
 * ONNX Runtime counts its sessions, with the metadata of models, and sends that to its maker. Nothing leaves here
 * unless somebody says so (`ORT_DISABLE_TELEMETRY=0`). Imported before ONNX Runtime, which looks when its library is
 * loaded; child processes inherit it.
 */
process.env.ORT_DISABLE_TELEMETRY ??= '1';
