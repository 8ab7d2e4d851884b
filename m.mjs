import sharp from 'sharp';
const [out,...files]=process.argv.slice(2);
const ims=await Promise.all(files.map(async f=>{const m=await sharp(f).metadata();return{f,w:m.width,h:m.height}}));
const W=Math.max(...ims.map(i=>i.w));const H=ims.reduce((s,i)=>s+i.h+6,0);
let y=0;const parts=ims.map(i=>{const p={input:i.f,left:0,top:y};y+=i.h+6;return p;});
await sharp({create:{width:W,height:H,channels:3,background:'white'}}).composite(parts).png({palette:true}).toFile(out);console.log(W,H);
