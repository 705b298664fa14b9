package grant

import (
	"errors"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/lockgate/store"
)

// The short names of the checks that this package makes itself. Rules of the
// policy have their own (policy.RuleAge and so on).
const (
	RefusedRequest      = "request"             // the request itself is incomplete
	RefusedReused       = "request-reused"      // the id was used for another request
	RefusedEnrolment    = "enrolment"           // the core is not enrolled
	RefusedRevoked      = "revoked"             // the core is switched off
	RefusedNoList       = "revocation-list"     // no list of revocations is in force, and there must be one
	RefusedUnknown      = "challenge-unknown"   // no such challenge is open here
	RefusedConsumed     = "challenge-consumed"  // the challenge was used already
	RefusedExpired      = "challenge-expired"   // the challenge is too old
	RefusedOtherCore    = "challenge-core"      // the challenge asked another core
	RefusedLockNonce    = "lock-nonce"          // the challenge was asked with another lock nonce
	RefusedLockUsed     = "lock-nonce-consumed" // the lock nonce had its lease
	RefusedSequence     = "lock-sequence"       // the lock's sequence does not go forward
	RefusedFork         = "previous-proof"      // another chain of proofs: a copy of the core is in use
	RefusedProof        = "proof"               // the proof is malformed
	RefusedAttestation  = "attestation"         // the evidence of core or beacons is not accepted
	RefusedVerdict      = policy.RuleVerdict    // the locator does not say Inside
	RefusedReport       = policy.RuleReport     // no sound usage report
	RefusedLife         = "lease-life"          // the proof would not stay inside for a moment
	RefusedBudget       = "budget"              // the chip's budget is spent
	RefusedTenantBudget = "tenant-budget"       // the tenant's budget for this window is spent
	RefusedPolicyBudget = "policy-budget"       // the policy's is
	RefusedFleetBudget  = "fleet-budget"        // the fleet's is
	RefusedBurn         = "burn"                // the burn named is not there, not this core's, or missing
	RefusedConcurrent   = "concurrent"          // another grant for the core came first
	RefusedDirectory    = "directory"           // the directory is not in force
	RefusedCommittee    = "committee"           // no committee can be made
	RefusedPlace        = "claimed-place"       // the claimed place is no place
	RefusedBeaconSig    = "beacon-signature"    // a statement's signature
	RefusedTimedKey     = "timed-key"           // beacons timed another key than the core's machine attests, or several
	RefusedProofSig     = "proof-signature"     // the core's under the proof
	RefusedChallenge    = "challenge-signature" // the gate's under the challenge
	RefusedStatement    = "statement"           // any other check of a statement
	RefusedStale        = "statement-expired"   // a statement is void
	RefusedMismatch     = "statement-challenge" // a statement answers another challenge
	RefusedPosition     = "statement-position"  // a statement differs from the directory
	RefusedQuarantine   = "beacon-quarantined"  // a beacon is out of service
	RefusedStranger     = "beacon-not-asked"    // a beacon that was not asked or is not listed
	RefusedResults      = "attestation-results" // results and statements do not match
	RefusedRounds       = "statement-rounds"    // too few or too many rounds
	RefusedPolicyHash   = "challenge-policy"    // asked under another policy
	RefusedEpoch        = "challenge-directory" // asked under another directory
	RefusedGate         = "challenge-gate"      // asked by another gate
	RefusedUnits        = policy.RuleUnits      // no units asked for
	RefusedDuplicate    = "duplicate-statement" // two statements of one beacon or session
	RefusedCore         = "proof-core"          // another core's proof
	RefusedRecent       = "statement-in-future" // a statement from the future
	RefusedOutcome      = policy.RuleValid      // the policy itself cannot be evaluated
	RefusedAge          = policy.RuleAge        // the challenge is older than the policy allows
	RefusedPlatform     = policy.RulePlatform   // the core's platform is not accepted
	RefusedWindow       = policy.RuleWindow     // the policy is not in force at this time
	RefusedDomains      = policy.RuleDomains    // too few domains
	RefusedStatements   = policy.RuleStatements // too few statements
	RefusedRate         = "rate"                // asked too often
	RefusedBusy         = "busy"                // too much is under way
	RefusedSignature    = "request-signature"   // the request is not signed by the enrolled key
	RefusedBinding      = "channel-binding"     // the request was signed for another connection
	RefusedTransaction  = "transaction"         // the store refused for another reason
)

// names gives the check behind an error of the proof's verification. The first
// match counts, so what is wrapped inside another error stands before it.
var names = []struct {
	err  error
	name string
}{
	{statement.ErrPreviousProof, RefusedFork},
	{statement.ErrProofSignature, RefusedProofSig},
	{statement.ErrChallengeSigned, RefusedChallenge},
	{statement.ErrUnknownGate, RefusedGate},
	{statement.ErrWrongGate, RefusedGate},
	{statement.ErrGateExpected, RefusedGate},
	{statement.ErrChallengeExpired, RefusedExpired},
	{statement.ErrWrongNonce, RefusedUnknown},
	{statement.ErrWrongPolicy, RefusedPolicyHash},
	{statement.ErrWrongEpoch, RefusedEpoch},
	{statement.ErrWrongDirectory, RefusedEpoch},
	{statement.ErrDirectory, RefusedDirectory},
	{statement.ErrBeaconSignature, RefusedBeaconSig},
	{statement.ErrTimedKeys, RefusedTimedKey},
	{attest.ErrTimedKey, RefusedTimedKey},
	{statement.ErrChallengeHash, RefusedMismatch},
	{statement.ErrWrongPosition, RefusedPosition},
	{statement.ErrWrongUncertainty, RefusedPosition},
	{statement.ErrWrongDomains, RefusedPosition},
	{statement.ErrQuarantined, RefusedQuarantine},
	{statement.ErrNotInCommittee, RefusedStranger},
	{statement.ErrUnknownBeacon, RefusedStranger},
	{statement.ErrCommitteeStranger, RefusedStranger},
	{statement.ErrExpired, RefusedStale},
	{statement.ErrFuture, RefusedRecent},
	{statement.ErrTooFewRounds, RefusedRounds},
	{statement.ErrTooManyRounds, RefusedRounds},
	{statement.ErrDuplicateBeacon, RefusedDuplicate},
	{statement.ErrDuplicateSession, RefusedDuplicate},
	{statement.ErrResultMissing, RefusedResults},
	{statement.ErrResultUnused, RefusedResults},
	{statement.ErrResultOrder, RefusedResults},
	{statement.ErrWrongCore, RefusedCore},
	{statement.ErrCoreRole, RefusedCore},
	{statement.ErrStatement, RefusedStatement},
	{statement.ErrWrongBeacon, RefusedStatement},
	{statement.ErrStatementTooBig, RefusedStatement},

	{store.ErrUnknownCore, RefusedEnrolment},
	{store.ErrDisabled, RefusedRevoked},
	{store.ErrChipMismatch, RefusedEnrolment},
	{store.ErrRequestReused, RefusedReused},
	{store.ErrNonceUsed, RefusedConsumed},
	{store.ErrLockNonceUsed, RefusedLockUsed},
	{store.ErrSequence, RefusedSequence},
	{store.ErrStale, RefusedConcurrent},
	{store.ErrBudget, RefusedBudget},
	{store.ErrBurnUsed, RefusedBudget},
	{store.ErrTenantBudget, RefusedTenantBudget},
	{store.ErrPolicyBudget, RefusedPolicyBudget},
	{store.ErrFleetBudget, RefusedFleetBudget},
	{store.ErrUnknownBurn, RefusedBurn},
	{store.ErrDeposit, RefusedReused},
	{store.ErrUnits, RefusedUnits},
	{store.ErrMalformed, RefusedRequest},
}

// nameOf finds the short name of the check behind an error; fallback when the
// error is of no known check.
func nameOf(err error, fallback string) string {
	for _, n := range names {
		if errors.Is(err, n.err) {
			return n.name
		}
	}
	return fallback
}

// refusal says whether a store's error is a definite no, and whose. Any other
// error means that the outcome is not known.
func refusal(err error) (string, bool) {
	name := nameOf(err, "")
	return name, name != "" && !errors.Is(err, store.ErrUncertain)
}
