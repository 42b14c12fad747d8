; examples/lisp/tour.lisp - what the tutorial builds, used once. The test suite runs it and compares the output.
(define fib (lambda (n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2))))))
(print "fib: " (fib 18))

; Garbage by the million: a loop that keeps nothing.
(define count (lambda (n list) (if (= n 0) list (count (- n 1) (cons n '())))))
(print "count: " (count 200000 '()))

; Closures hold their environment.
(define counter (lambda (n) (lambda () (set! n (+ n 1)) n)))
(define tick (counter 40))
(tick)
(print "tick: " (tick))

; A hash table of strings.
(define ages (table))
(put ages "ada" 36)
(put ages "alan" 41)
(print "ages: " (get ages "ada") " " (get ages "alan") " " (get ages "grace" 'unknown))

; A function that remembers results as long as their arguments live.
(define length (memo (lambda (list) (if (pair? list) (+ 1 (length (cdr list))) 0))))
(define three '(1 2 3))
(print "length: " (length three) ", remembered: " (remembered length))
(define three '())
(collect)
(print "forgotten: " (remembered length))

; A port that is dropped is closed by its finalizer.
(define port (open "examples/lisp/tour.lisp"))
(print (read-line port))
(print "open: " (open-ports))
(define port '())
(collect)
(print "open: " (open-ports))
