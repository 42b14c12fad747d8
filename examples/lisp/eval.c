/* examples/lisp/eval.c - the evaluator. Tail calls are loops; everything that is needed across a call lies in
 * the frame of lisp_eval. */
#include "lisp.h"

#include <string.h>

enum { EXPRESSION, ENV, FUNCTION, ARGUMENTS, SCRATCH, REFS };
enum { MOST_ARGUMENTS = 16, DEEPEST = 5000 };

/* The pair (symbol . value) of the environment, NULL if the symbol is global. */
static value binding(value env, value symbol)
{
    for (; env != NIL; env = lisp_cdr(env))
        if (lisp_car(lisp_car(env)) == symbol)
            return lisp_car(env);
    return NULL;
}

static value look_up(struct lisp *l, value symbol, value env)
{
    value pair = binding(env, symbol);
    value found = pair != NULL ? lisp_cdr(pair) : ((struct symbol *)symbol)->value;
    return found != NULL ? found
                         : lisp_fail(l, "%.100s has no value", ((struct symbol *)symbol)->name);
}

/* define and set!: a binding that may be old gets a value that may be young, so the store has a barrier. */
static value assign(struct lisp *l, value symbol, value env, value to)
{
    value pair = binding(env, symbol);
    if (pair != NULL)
        hearth_store(l->me, pair, &((struct pair *)pair)->cdr, to);
    else
        hearth_store(l->me, symbol, &((struct symbol *)symbol)->value, to);
    return to;
}

/* env with (symbol . to) in front. */
static value extend(struct lisp *l, value symbol, value to, value env)
{
    HEARTH_FRAME(l->me, f, 1);
    f.ref[0] = env;
    value pair = lisp_cons(l, symbol, to);
    if (pair != NULL)
        env = lisp_cons(l, pair, f.ref[0]);
    HEARTH_FRAME_END(l->me, f);
    return pair != NULL ? env : NULL;
}

/* All but the last expression of a body; the last is left in ref[EXPRESSION]. */
static bool body(struct lisp *l, value *ref, value expressions)
{
    if (lisp_kind(expressions) != PAIR) {
        lisp_fail(l, "a body is empty");
        return false;
    }
    ref[EXPRESSION] = expressions;
    while (lisp_kind(lisp_cdr(ref[EXPRESSION])) == PAIR) {
        if (lisp_eval(l, lisp_car(ref[EXPRESSION]), ref[ENV]) == NULL)
            return false;
        ref[EXPRESSION] = lisp_cdr(ref[EXPRESSION]);
    }
    ref[EXPRESSION] = lisp_car(ref[EXPRESSION]);
    return true;
}

/* (let ((name value) ...) body ...): the environment is extended one by one, as let* does. */
static bool let(struct lisp *l, value *ref)
{
    ref[SCRATCH] = lisp_cdr(ref[EXPRESSION]);
    ref[ARGUMENTS] = lisp_car(ref[SCRATCH]);
    ref[SCRATCH] = lisp_cdr(ref[SCRATCH]);
    while (ref[ARGUMENTS] != NIL) {
        value item = lisp_car(ref[ARGUMENTS]);
        value to = lisp_eval(l, lisp_car(lisp_cdr(item)), ref[ENV]);
        if (to == NULL)
            return false;
        value env = extend(l, lisp_car(lisp_car(ref[ARGUMENTS])), to, ref[ENV]);
        if (env == NULL)
            return false;
        ref[ENV] = env;
        ref[ARGUMENTS] = lisp_cdr(ref[ARGUMENTS]);
    }
    return body(l, ref, ref[SCRATCH]);
}

/* The parameters of a closure bound to arguments that are rooted. */
static value bind(struct lisp *l, struct closure *closure, value *argument, int count)
{
    HEARTH_FRAME(l->me, f, 2);
    f.ref[0] = closure->params;
    f.ref[1] = closure->env;
    int used = 0;
    while (f.ref[0] != NIL && used < count && f.ref[1] != NULL) {
        f.ref[1] = extend(l, lisp_car(f.ref[0]), argument[used++], f.ref[1]);
        f.ref[0] = lisp_cdr(f.ref[0]);
    }
    HEARTH_FRAME_END(l->me, f);
    if (f.ref[1] != NULL && (used != count || f.ref[0] != NIL))
        return lisp_fail(l, "a function got %d arguments, another number than it has parameters",
                         count);
    return f.ref[1];
}

static value call_builtin(struct lisp *l, struct builtin *builtin, value *argument, int count)
{
    if (count < builtin->least || (builtin->most >= 0 && count > builtin->most))
        return lisp_fail(l, "%s: %d arguments", builtin->name, count);
    return builtin->call(l, argument, count);
}

/* A memoized function: the table's keys are the arguments, held weakly. What its value holds is no root. */
static value recall(struct lisp *l, struct closure *closure, value argument)
{
    value found = NULL;
    if (lisp_kind(argument) == PAIR || lisp_kind(argument) == TABLE)
        hearth_table_get(l->me, closure->memo, argument, &found);
    return found;
}

value lisp_apply(struct lisp *l, value function, value *argument, int count)
{
    HEARTH_FRAME(l->me, f, REFS);
    f.ref[FUNCTION] = function;
    value result = NULL;
    if (lisp_kind(function) == BUILTIN) {
        result = call_builtin(l, function, argument, count);
    } else if (lisp_kind(function) != CLOSURE) {
        lisp_fail(l, "what is called is no function");
    } else {
        struct closure *closure = function;
        bool remembers = closure->memo != NULL && count == 1 &&
                         (lisp_kind(argument[0]) == PAIR || lisp_kind(argument[0]) == TABLE);
        if (remembers)
            result = recall(l, closure, argument[0]);
        if (result == NULL) {
            f.ref[ENV] = bind(l, closure, argument, count);
            if (f.ref[ENV] != NULL && body(l, f.ref, closure->body))
                result = f.ref[SCRATCH] = lisp_eval(l, f.ref[EXPRESSION], f.ref[ENV]);
            if (result != NULL && remembers &&
                hearth_table_put(l->me, closure->memo, argument[0], result) != HEARTH_OK)
                result = lisp_fail(l, "memo: %.150s", hearth_last_error());
        }
    }
    HEARTH_FRAME_END(l->me, f);
    return result;
}

static value loop_while(struct lisp *l, value *ref)
{
    value test = lisp_car(lisp_cdr(ref[EXPRESSION]));
    ref[SCRATCH] = lisp_cdr(lisp_cdr(ref[EXPRESSION]));
    ref[FUNCTION] = test;
    for (;;) {
        value truth = lisp_eval(l, ref[FUNCTION], ref[ENV]);
        if (truth == NULL || truth == NIL)
            return truth;
        if (!body(l, ref, ref[SCRATCH]) || lisp_eval(l, ref[EXPRESSION], ref[ENV]) == NULL)
            return NULL;
    }
}

/* and, or: true if the last expression is left to be evaluated, else *result has the value. */
static bool junction(struct lisp *l, value *ref, value stops, value *result)
{
    ref[SCRATCH] = lisp_cdr(ref[EXPRESSION]);
    for (; lisp_cdr(ref[SCRATCH]) != NIL; ref[SCRATCH] = lisp_cdr(ref[SCRATCH])) {
        *result = lisp_eval(l, lisp_car(ref[SCRATCH]), ref[ENV]);
        if (*result == NULL || (*result == NIL) == (stops == NIL))
            return false;
    }
    ref[EXPRESSION] = lisp_car(ref[SCRATCH]);
    return true;
}

static int form_of(const struct lisp *l, value head)
{
    for (int i = 0; i < FORMS; i++)
        if (l->form[i] == head)
            return i;
    return FORMS;
}

/* A special form with at least one operand. True: go on with ref[EXPRESSION]; else *result has the value. */
static bool special(struct lisp *l, int form, value *ref, value *result)
{
    value operands = lisp_cdr(ref[EXPRESSION]), first = lisp_car(operands);
    *result = NULL;
    switch (form) {
    case QUOTE:
        *result = first;
        return false;
    case IF:
        *result = lisp_eval(l, first, ref[ENV]);
        if (*result == NULL)
            return false;
        operands = lisp_cdr(lisp_cdr(ref[EXPRESSION]));
        if (*result == NIL)
            operands = lisp_cdr(operands);
        ref[EXPRESSION] = operands == NIL ? NIL : lisp_car(operands);
        return true;
    case DEFINE:
    case SET:
        *result = lisp_eval(l, lisp_car(lisp_cdr(operands)), ref[ENV]);
        first = lisp_car(lisp_cdr(ref[EXPRESSION]));
        if (lisp_kind(first) != SYMBOL)
            *result = lisp_fail(l, "define and set! need a symbol");
        if (*result != NULL)
            assign(l, first, form == SET ? ref[ENV] : NIL, *result);
        return false;
    case LAMBDA:
        *result = lisp_closure(l, first, lisp_cdr(operands), ref[ENV]);
        return false;
    case LET:
        return let(l, ref);
    case BEGIN:
        return body(l, ref, operands);
    case AND:
    case OR:
        return junction(l, ref, form == AND ? NIL : TRUE, result);
    default:
        *result = loop_while(l, ref);
        return false;
    }
}

/* The arguments go to an array of the caller's that is a frame. */
static int arguments(struct lisp *l, value *ref, value *argument)
{
    int count = 0;
    for (ref[SCRATCH] = lisp_cdr(ref[EXPRESSION]); ref[SCRATCH] != NIL;
         ref[SCRATCH] = lisp_cdr(ref[SCRATCH])) {
        if (count == MOST_ARGUMENTS) {
            lisp_fail(l, "more than %d arguments", MOST_ARGUMENTS);
            return -1;
        }
        argument[count] = lisp_eval(l, lisp_car(ref[SCRATCH]), ref[ENV]);
        if (argument[count] == NULL)
            return -1;
        count++;
    }
    return count;
}

/* A call. True: a closure's body is to go on with; else *result has the value. */
static bool call(struct lisp *l, value *ref, value *result)
{
    HEARTH_FRAME(l->me, f, MOST_ARGUMENTS);
    bool goes_on = false;
    *result = NULL;
    ref[FUNCTION] = lisp_eval(l, lisp_car(ref[EXPRESSION]), ref[ENV]);
    int count = ref[FUNCTION] != NULL ? arguments(l, ref, f.ref) : -1;
    if (count >= 0 && lisp_kind(ref[FUNCTION]) == CLOSURE &&
        ((struct closure *)ref[FUNCTION])->memo == NULL) {
        ref[ENV] = bind(l, ref[FUNCTION], f.ref, count);
        goes_on = ref[ENV] != NULL && body(l, ref, ((struct closure *)ref[FUNCTION])->body);
    } else if (count >= 0) {
        *result = lisp_apply(l, ref[FUNCTION], f.ref, count);
    }
    HEARTH_FRAME_END(l->me, f);
    return goes_on;
}

static value evaluate(struct lisp *l, value *ref)
{
    value result = NULL;
    for (;;) {
        hearth_safepoint(l->me); /* a loop that allocates nothing must still let others collect */
        value expression = ref[EXPRESSION];
        if (lisp_kind(expression) == SYMBOL)
            return look_up(l, expression, ref[ENV]);
        if (lisp_kind(expression) != PAIR)
            return expression;
        int form = form_of(l, lisp_car(expression));
        if (form != FORMS && lisp_kind(lisp_cdr(expression)) != PAIR)
            return lisp_fail(l, "a special form without operands");
        if (!(form != FORMS ? special(l, form, ref, &result) : call(l, ref, &result)))
            return result;
    }
}

value lisp_eval(struct lisp *l, value expression, value env)
{
    HEARTH_FRAME(l->me, f, REFS);
    f.ref[EXPRESSION] = expression;
    f.ref[ENV] = env;
    value result = NULL;
    if (l->depth++ < DEEPEST)
        result = evaluate(l, f.ref);
    else
        lisp_fail(l, "more than %d calls within each other", DEEPEST);
    l->depth--;
    HEARTH_FRAME_END(l->me, f);
    return result;
}
