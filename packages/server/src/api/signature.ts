export { sign, verifySignature } from '../account/signature.ts'
