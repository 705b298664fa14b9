package delayline

import "time"

// queue is a priority queue: a 4-ary heap of typed entries, which needs half the time of container/heap. It is pure.
type queue[T any] struct {
	heap []entry[T]
	seq  uint64
}

type entry[T any] struct {
	due  time.Duration // on the line's clock
	rank uint64        // among values due together
	seq  uint64        // among values of one rank due together
	v    T
}

func (a *entry[T]) before(b *entry[T]) bool {
	if a.due != b.due {
		return a.due < b.due
	}
	if a.rank != b.rank {
		return a.rank < b.rank
	}
	return a.seq < b.seq
}

const arity = 4

func (q *queue[T]) push(due time.Duration, rank uint64, v T) {
	q.heap = append(q.heap, entry[T]{due, rank, q.seq, v})
	q.seq++
	i := len(q.heap) - 1
	for i > 0 {
		parent := (i - 1) / arity
		if !q.heap[i].before(&q.heap[parent]) {
			return
		}
		q.heap[i], q.heap[parent] = q.heap[parent], q.heap[i]
		i = parent
	}
}

// due returns when the first value is due.
func (q *queue[T]) due() (time.Duration, bool) {
	if len(q.heap) == 0 {
		return 0, false
	}
	return q.heap[0].due, true
}

// pop removes the first value; the queue must not be empty.
func (q *queue[T]) pop() entry[T] {
	first, last := q.heap[0], len(q.heap)-1
	q.heap[0] = q.heap[last]
	q.heap[last] = entry[T]{} // let go of what it refers to
	q.heap = q.heap[:last]
	for i := 0; ; {
		least := i
		for c := arity*i + 1; c < min(arity*i+1+arity, last); c++ {
			if q.heap[c].before(&q.heap[least]) {
				least = c
			}
		}
		if least == i {
			return first
		}
		q.heap[i], q.heap[least] = q.heap[least], q.heap[i]
		i = least
	}
}
