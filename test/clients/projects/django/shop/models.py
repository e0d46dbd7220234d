from django.db import models


class Customer(models.Model):
    name = models.TextField()

    class Meta:
        db_table = 'customers'


class Order(models.Model):
    customer_no = models.IntegerField()
    status = models.CharField(max_length=40)
    amount = models.BigIntegerField()
    note = models.TextField(default='')
    priority = models.IntegerField(default=0)
    comment = models.TextField(null=True)
    customer = models.ForeignKey(Customer, null=True, on_delete=models.PROTECT)
    code = models.CharField(max_length=20, null=True, unique=True)

    class Meta:
        db_table = 'orders'
        indexes = [
            models.Index(fields=['customer_no'], name='order_customer_no'),
            models.Index(fields=['status'], name='order_status'),
        ]
        constraints = [
            models.CheckConstraint(check=models.Q(amount__gte=0), name='order_amount'),
            models.UniqueConstraint(fields=['customer_no', 'amount'], name='order_once'),
        ]


class Refund(models.Model):
    order = models.ForeignKey(Order, on_delete=models.CASCADE)
    amount = models.IntegerField()

    class Meta:
        db_table = 'refunds'
