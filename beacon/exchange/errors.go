package exchange

import "errors"

// Why a beacon refuses to open an exchange, in the order of its checks.
var (
	ErrSuite         = errors.New("unknown suite: ursa/1 has suite 1 only")
	ErrWrongBeacon   = errors.New("opening is addressed to another beacon")
	ErrBinding       = errors.New("opening was signed for another channel (TLS exporter differs)")
	ErrChallenge     = errors.New("gate's challenge is malformed or its signature does not verify")
	ErrOtherCore     = errors.New("gate's challenge names another core than the one that opens the exchange")
	ErrNotCommittee  = errors.New("gate's challenge does not name this beacon in its committee")
	ErrExpired       = errors.New("gate's challenge has expired or is not yet valid")
	ErrUnknownGate   = errors.New("challenge is signed by a gate that this beacon does not know")
	ErrRoundsAsked   = errors.New("gate's challenge asks for a number of rounds that this beacon does not run")
	ErrCarrier       = errors.New("rounds cannot travel between this beacon and this core as the core asks")
	ErrCoreKey       = errors.New("core's public key is malformed, not a core's, or not the signer's")
	ErrInitSignature = errors.New("core's signature of the opening does not verify")
	ErrTimedKey      = errors.New("core's timed key is malformed")
	ErrCoreResult    = errors.New("core's attestation result does not vouch for its timed key")
)

// Why a core refuses the beacon's acceptance.
var (
	ErrAcceptSignature = errors.New("beacon's signature of the acceptance does not verify")
	ErrOtherInit       = errors.New("acceptance answers another opening")
	ErrTerms           = errors.New("acceptance has terms that the core does not take")
)

// Why either side refuses the slow phase.
var (
	ErrTooFewRounds = errors.New("fewer rounds verified than required")
	ErrSeed         = errors.New("opened seed is not the one committed to, or the values used are not its own")
	ErrTimes        = errors.New("times are malformed, not for this session, or their signature does not verify")
	ErrTimesOpened  = errors.New("beacon's opened times are not those committed to")
	ErrStatement    = errors.New("beacon's statement does not say what happened")
	ErrSignature    = errors.New("beacon's signature of the statement does not verify")
	ErrCountersign  = errors.New("core's countersignature does not verify or covers another statement")
)

// ErrConfig refuses a machine's configuration.
var ErrConfig = errors.New("exchange configuration")
