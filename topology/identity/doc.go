// Package identity says who signed: hybrid keys, ids, signatures with a context, signed envelopes, Merkle batches of them, key
// encapsulation, and key files.
//
// What it believes: a quantum computer may break Ed25519 and X25519 some day, a mathematician may break ML-DSA or ML-KEM some
// day, hardly both on the same day. So everything is done twice (suite 1) and both halves must hold:
//
//	signatures     Ed25519 (RFC 8032) and ML-DSA-65 (FIPS 204), hedged
//	encapsulation  X-Wing (draft-connolly-cfrg-xwing-kem): ML-KEM-768 (FIPS 203) with X25519, to timed keys
//	encryption     HPKE (RFC 9180) with X-Wing, HKDF-SHA-256, ChaCha20-Poly1305
//	hashes         SHA-256, SHA-512
//
// What it promises:
//
//   - An identity is one thing. Its id covers the role and all its public keys, so halves of two identities cannot be mixed, and
//     a key of one role cannot be presented in another:
//
//     id = SHA-256("ursa/1 id" ‖ len(role) ‖ role ‖ ed25519_pk[32] ‖ mldsa65_pk[1952] ‖ kem_pk[0 or 1216])
//
//     with len(role) as one byte. Every part has a fixed length or is preceded by it, and the KEM key comes last, so that two
//     different identities never hash the same bytes.
//
//   - A signature means one thing. It covers "ursa/1 " ‖ type ‖ 0x00 ‖ SHA-512(bytes), and no type contains 0x00 or '/', so a
//     signed lease is never a signed proof, and a signed batch root (type ‖ "/batch") is never a signed object.
//
//   - A secret is not printed. Private has no exported field, and every way of formatting it answers its public id.
//
//   - A timed key, to which beacons encapsulate, is not stored: TimedKey has no way out but its public part.
//
// What an attacker may do: hand in any bytes as key, signature, envelope, path or key file. Small-order and non-canonical Ed25519
// keys, keys off the curve and unreduced ML-KEM keys are refused where they are parsed; lengths are checked before anything is
// computed; the cheap half of a signature is verified first. Every refusal is an error of its own.
package identity
